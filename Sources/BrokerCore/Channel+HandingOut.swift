import DequeModule
import NSQWire

/// Who gets which message: ready consumers in turn, each a run.
extension Channel {
    /// Gives ready consumers what there is, in turn.
    func handOut(_ turn: Turn) {
        guard !isDeleted else { return }
        defer { setAlarm(turn) }
        guard !isPaused, consumerCount > 0 else { return }
        var refusals = 0
        var leftInRound = 0
        var share = 0
        while depth > 0, refusals < consumers.count {
            if leftInRound == 0 {
                leftInRound = consumers.count
                share = fairShare
            }
            leftInRound -= 1
            if nextConsumer >= consumers.count { nextConsumer = 0 }
            let session = consumers[nextConsumer]
            nextConsumer += 1
            let room = session?.room(unsentLimit: turn.options.maxUnsentBytes) ?? 0
            guard let session, room > 0 else {
                refusals += 1
                continue
            }
            refusals = 0
            let isStuck = !deliver(to: session, atMost: min(room, share), turn)
            turn.touch(session)
            if isStuck { return tryAgainLater(turn) }
        }
    }

    /// The next message is on a disk that cannot be read now.
    private func tryAgainLater(_ turn: Turn) {
        let due = turn.now.monotonic + Self.retryInterval.nanoseconds
        guard openAlarms.add(due) else { return }
        turn.alarms.insert(.channel(number), due: due)
    }

    private static let retryInterval = Duration.seconds(1)

    /// How many messages each consumer gets before it is another's turn: the same in a round.
    var fairShare: Int {
        consumerCount == 1 ? .max : min(256, max(1, depth / consumerCount))
    }

    /// Delivers a run of messages that are due, at least one, until there is enough to send.
    ///
    /// - Returns: `false` if it cannot go on, as a message cannot be read.
    func deliver(to session: Session, atMost limit: Int, _ turn: Turn) -> Bool {
        var left = limit
        while left > 0, session.backlogBytes < turn.options.maxUnsentBytes {
            let waiting = deliveries.firstWaiting
            // Those that came before it into the queue go first.
            let before = waiting.map { Int(deliveries[$0].due - takenCount) } ?? .max
            if let waiting, ahead.isEmpty || before <= 0 {
                guard hasRead(share(deliveries[waiting].share)!.segment, turn) else { return false }
                redeliver(waiting, to: session, turn)
                left -= 1
            } else if !ahead.isEmpty {
                let segment = shareAtCursor(ahead[0].lowerBound).segment
                guard segment.isResident else {
                    guard hasRead(segment, turn) else { return false }
                    continue
                }
                let first = ahead[0].lowerBound - segment.firstOrdinal
                if let gap = segment.gap(at: first) {
                    lose(gap, of: segment, turn)
                    continue
                }
                left -= deliverRun(to: session, atMost: min(left, before), turn)
            } else {
                break
            }
        }
        return true
    }

    /// Has the segment's messages in memory.
    @inline(__always)
    private func hasRead(_ segment: Segment, _ turn: Turn) -> Bool {
        segment.isResident || topic.read(segment, turn)
    }

    func redeliver(_ id: Int32, to session: Session, _ turn: Turn) {
        deliveries.remove(id)
        let delivery = deliveries[id]
        let segment = share(delivery.share)!.segment
        let isLost = !segment.holds(Int(delivery.index))
        if isLost || isSampledOut(session, turn) { return settle(id, turn) }
        deliveries[id].attempts = delivery.attempts &+ 1
        session.outbox.append(
            redelivery: segment.frame(at: Int(delivery.index)), attempts: deliveries[id].attempts)
        let list = deliveries.list(ofTimeout: session.messageTimeout)
        start(id, with: session, list: list, turn.now.monotonic)
        noteReturned(id, dueWall: 0, turn)
        inFlightCount += 1
        session.inFlightCount += 1
        session.deliveredCount += 1
    }

    @inline(__always)
    func start(_ id: Int32, with session: Session, list: Int32, _ now: Int64) {
        deliveries[id].state = .inFlight
        deliveries[id].consumer = session.consumerSlot
        deliveries[id].deliveredAt = now
        deliveries[id].due = now + session.messageTimeout
        deliveries.append(id, to: list)
    }

    /// Delivers messages from the cursor on, as far as one segment has them in a row.
    ///
    /// - Returns: how many the cursor has passed.
    func deliverRun(to session: Session, atMost limit: Int, _ turn: Turn) -> Int {
        let stretch = ahead[0]
        let share = shareAtCursor(stretch.lowerBound)
        let segment = share.segment
        let start = stretch.lowerBound - segment.firstOrdinal
        let due =
            start..<min(
                start + limit, segment.endOfRun(from: start),
                stretch.upperBound - segment.firstOrdinal)
        let end = segment.end(
            of: due, within: turn.options.maxUnsentBytes - session.backlogBytes)
        move(cursorTo: segment.firstOrdinal + end, of: stretch)
        if session.sampleRate > 0 {
            deliverSample(start..<end, of: cursorShare, to: session, turn)
        } else {
            deliverAll(start..<end, of: share, to: session, turn)
        }
        return end - start
    }

    /// Makes a delivery of each record, and one piece to write of all of them.
    func deliverAll(
        _ indexes: Range<Int>, of share: Share, to session: Session, _ turn: Turn
    ) {
        let list = deliveries.list(ofTimeout: session.messageTimeout)
        let now = turn.now.monotonic
        let number = cursorShare
        let deliveries = deliveries
        share.reach(indexes.upperBound)
        for index in indexes {
            let id = deliveries.allocate()
            deliveries[id].share = number
            deliveries[id].index = UInt16(truncatingIfNeeded: index)
            deliveries[id].attempts = 1
            start(id, with: session, list: list, now)
            share.setState(id, of: index)
        }
        session.outbox.append(share.segment.slab, share.segment.byteRange(of: indexes))
        noteDelivered(indexes, of: share.segment, turn)
        inFlightCount += indexes.count
        session.inFlightCount += indexes.count
        session.deliveredCount += indexes.count
    }

    func deliverSample(
        _ indexes: Range<Int>, of number: Int, to session: Session, _ turn: Turn
    ) {
        let share = share(number)!
        var skipped = 0
        for index in indexes {
            if isSampledOut(session, turn) {
                share.setState(Share.settledState, of: index)
                noteFinished(index..<index + 1, of: share.segment, turn)
                skipped += 1
            } else {
                deliverAll(index..<index + 1, of: share, to: session, turn)
            }
        }
        settle(skipped, in: number)
    }

    /// A sampling consumer misses this one; it is gone for the channel (NSQ, `sample_rate`).
    func isSampledOut(_ session: Session, _ turn: Turn) -> Bool {
        session.sampleRate > 0 && turn.percent() > session.sampleRate
    }

    func shareAtCursor(_ ordinal: Int) -> Share {
        while true {
            if let share = share(cursorShare), !share.segment.isDeferred,
                ordinal < share.segment.endOrdinal
            {
                return share
            }
            cursorShare += 1
        }
    }

    func move(cursorTo ordinal: Int, of stretch: Range<Int>) {
        takenCount += Int64(ordinal - stretch.lowerBound)
        if ordinal == stretch.upperBound {
            ahead.removeFirst()
        } else {
            ahead[0] = ordinal..<stretch.upperBound
        }
    }
}
