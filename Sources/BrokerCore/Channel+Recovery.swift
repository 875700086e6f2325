import DequeModule
import NSQWire

/// How a channel comes to be again what it was. Deliveries stand in no list until the end.
extension Channel {
    /// Takes note of a segment, which may be older than others if it was moved.
    func adoptRecovered(_ segment: Segment) {
        segment.claims += 1
        let place = shares.firstIndex { $0.serial > segment.serial } ?? shares.count
        shares.insert(
            ShareSlot(serial: segment.serial, share: Share(segment, settled: 0)), at: place)
        guard place < shares.count - 1 else { return }
        for id in deliveries.live where deliveries[id].share >= firstShare + place {
            deliveries[id].share += 1
        }
    }

    /// These messages were finished.
    func recoverFinished(_ run: RecordRun, _ turn: Turn) {
        guard let share = shareNumber(serial: run.serial).flatMap({ share($0) }) else { return }
        recoverHandingOver(of: run.indexes, share, turn)
        for index in run.indexes where index < share.segment.count {
            let state = share.state(of: index)
            guard state != Share.settledState else { continue }
            if state >= 0 { deliveries.free(state) }
            share.setState(Share.settledState, of: index)
        }
    }

    /// These were delivered for the first time: they are to come again.
    func recoverDelivered(_ run: RecordRun, _ turn: Turn) {
        guard let number = shareNumber(serial: run.serial), let share = share(number) else {
            return
        }
        recoverHandingOver(of: run.indexes, share, turn)
        for index in run.indexes where index < share.segment.count {
            guard share.state(of: index) == Share.untouched else { continue }
            let id = recoveredDelivery(of: index, in: number)
            deliveries[id].attempts = 1
        }
    }

    /// This one was tried so often, and is deferred or not.
    func recover(_ noted: NotedDelivery, _ turn: Turn) {
        guard let number = shareNumber(serial: noted.serial), let share = share(number),
            noted.index < share.segment.count
        else { return }
        recoverHandingOver(of: noted.index..<noted.index + 1, share, turn)
        let state = share.state(of: noted.index)
        guard state != Share.settledState else { return }
        let id = state >= 0 ? state : recoveredDelivery(of: noted.index, in: number)
        deliveries[id].attempts = max(deliveries[id].attempts, noted.attempts)
        deliveries[id].state = noted.due == 0 ? .waiting : .deferred
        deliveries[id].due =
            noted.due == 0 ? 0 : turn.now.monotonic + noted.due - turn.now.wall
    }

    /// The channel has had to do with these messages: they were handed over, though what was noted of
    /// that may be lost.
    private func recoverHandingOver(of indexes: Range<Int>, _ share: Share, _ turn: Turn) {
        let segment = share.segment
        guard segment.isDeferred else {
            let end = min(indexes.upperBound, segment.count)
            return topic.handOver(upTo: segment.firstOrdinal + end, turn)
        }
        guard segment.heldCount > 0,
            indexes.contains(where: { share.state(of: $0) == Share.untouched })
        else { return }
        topic.recoverHandingOver(ofDeferred: indexes, in: segment, turn)
    }

    private func recoveredDelivery(of index: Int, in number: Int) -> Int32 {
        let id = deliveries.allocate()
        deliveries[id].share = number
        deliveries[id].index = UInt16(truncatingIfNeeded: index)
        deliveries[id].attempts = 0
        deliveries[id].state = .waiting
        deliveries[id].due = 0
        share(number)!.setState(id, of: index)
        return id
    }

    /// Puts deliveries into their lists, and the cursor before what is left.
    func endRecovery(_ turn: Turn) {
        ahead = untouched(in: ahead.sorted { $0.lowerBound < $1.lowerBound })
        settleRecovered()
        takenCount = 0
        acceptedCount = ahead.reduce(0) { $0 + Int64($1.count) }
        cursorShare = firstShare
        let live = deliveries.live.sorted { deliveries.comesBefore($0, $1) }
        for id in live {
            if deliveries[id].state == .deferred {
                deferredCount += 1
                deferredQueue.insert(id, due: deliveries[id].due)
            } else {
                // Before all that has not been delivered yet.
                deliveries[id].due = 0
                deliveries.append(id, to: DeliveryPool.waitingList)
            }
        }
        messageCount = 0
        turn.touch(self)
    }

    /// Of these ordinals, ascending, those that there is a message of which the channel has not come
    /// to.
    func untouched(
        in stretches: [Range<Int>], countingMissing: Bool = false
    ) -> Deque<Range<Int>> {
        var left = Deque<Range<Int>>()
        for slot in shares {
            guard let share = slot.share, !share.segment.isDeferred else { continue }
            let segment = share.segment
            for stretch in stretches {
                let ordinals = stretch.clamped(to: segment.firstOrdinal..<segment.endOrdinal)
                left.append(untouched: ordinals, of: share, countingMissing)
            }
        }
        return left
    }

    /// Counts anew what there is to do in each segment: only what is ahead, or was delivered, or
    /// the topic still holds.
    private func settleRecovered() {
        // What is missing is found to be when it is read.
        let toCome = untouched(
            in: [topic.released..<max(topic.released, topic.published)], countingMissing: true)
        for slot in shares {
            guard let share = slot.share else { continue }
            let segment = share.segment
            let all = segment.firstOrdinal..<segment.endOrdinal
            let held =
                segment.isDeferred
                ? segment.heldCount : toCome.reduce(0) { $0 + $1.clamped(to: all).count }
            let isAhead =
                segment.isDeferred ? 0 : ahead.reduce(0) { $0 + $1.clamped(to: all).count }
            share.settled = segment.count - held - isAhead - share.deliveredIndexes.count
        }
        for number in firstShare..<firstShare + shares.count where number >= firstShare {
            letGoIfDone(number)
        }
    }
}

extension Deque<Range<Int>> {
    /// Appends those ordinals whose messages the channel has not come to.
    fileprivate mutating func append(
        untouched ordinals: Range<Int>, of share: Share, _ countingMissing: Bool
    ) {
        guard !ordinals.isEmpty else { return }
        let segment = share.segment
        guard !share.isWhole || !segment.missing.isEmpty else { return join(ordinals) }
        for ordinal in ordinals {
            let index = ordinal - segment.firstOrdinal
            guard share.state(of: index) == Share.untouched,
                countingMissing || !segment.missing.contains(where: { $0.contains(index) })
            else { continue }
            join(ordinal..<ordinal + 1)
        }
    }

    /// Appends ordinals, or makes the last stretch longer. What it has already it does not take.
    private mutating func join(_ ordinals: Range<Int>) {
        guard let last, ordinals.lowerBound <= last.upperBound else { return append(ordinals) }
        self[count - 1] = last.lowerBound..<Swift.max(last.upperBound, ordinals.upperBound)
    }
}
