import DequeModule
import NSQWire

/// How messages that hardly anything is left beside move to the ledger's end, so that their old
/// place becomes free: a log gives back space at its beginning only.
extension Topic {
    /// About what its messages take that are still needed.
    var neededBytes: Int {
        segments.reduce(0) { sum, segment in
            guard segment.count > 0 else { return sum }
            let isHeld = segment.heldCount > 0 || segment.endOrdinal > released
            let needed = channels.reduce(isHeld ? segment.count : 0) {
                max($0, $1.unsettledCount(in: segment))
            }
            return sum + segment.usedBytes / segment.count * needed
        }
    }

    /// Appends to the ledger what is still needed of a segment, and what channels have to do with
    /// it. Nothing unwritten is left when it is called.
    func move(_ segment: Segment, _ turn: Turn) {
        if segment === tail { tail = nil }
        if segment === deferredTail { deferredTail = nil }
        if !segment.isSealed { seal(segment) }
        // Perhaps that was all that kept it.
        guard segments.contains(where: { $0 === segment }) else { return }
        guard segment.isResident || read(segment, turn) else { return }
        let needed = neededIndexes(of: segment)
        // What is left of it was lost.
        guard !needed.isEmpty else { return forget(segment) }
        for run in needed.runs {
            ledger?.append(run, of: segment, in: name, as: movedKind(of: run, in: segment, turn))
        }
        for channel in channels where channel.isNoted {
            channel.noteMoved(needed, of: segment, turn)
        }
        turn.hasNotedMessages()
    }

    private func movedKind(
        of run: Range<Int>, in segment: Segment, _ turn: Turn
    ) -> NotedMessages {
        guard segment.isDeferred else { return .moved(released: released) }
        var dues: [Int: Int64] = [:]
        for message in held where message.segment === segment {
            dues[message.index] = turn.now.wall + message.due - turn.now.monotonic
        }
        return .movedDeferred(run.map { dues[$0] ?? 0 })
    }

    /// Ascending.
    func neededIndexes(of segment: Segment) -> [Int] {
        var needed = heldIndexes(of: segment)
        for channel in channels {
            needed.formUnion(channel.neededIndexes(of: segment))
        }
        return needed.filter { segment.holds($0) }.sorted()
    }

    /// Those that no channel has yet.
    func heldIndexes(of segment: Segment) -> Set<Int> {
        if segment.isDeferred {
            return Set(held.lazy.filter { $0.segment === segment }.map(\.index))
        }
        guard segment.endOrdinal > released else { return [] }
        return Set(max(0, released - segment.firstOrdinal)..<segment.count)
    }
}

extension Channel {
    func unsettledCount(in segment: Segment) -> Int {
        share(of: segment).map { segment.count - $0.settled } ?? 0
    }

    /// The messages ahead of the cursor, and those that were delivered and not finished.
    func neededIndexes(of segment: Segment) -> [Int] {
        guard let share = share(of: segment) else { return [] }
        return share.deliveredIndexes
            + indexesAhead(in: segment).flatMap { $0.filter { share.state(of: $0) < 0 } }
    }

    private func indexesAhead(in segment: Segment) -> [Range<Int>] {
        guard !segment.isDeferred else { return [] }
        return ahead.map {
            let part = $0.clamped(to: segment.firstOrdinal..<segment.endOrdinal)
            return part.lowerBound - segment.firstOrdinal..<part.upperBound - segment.firstOrdinal
        }
    }

    /// Of the records `moved` of a segment: which it is done with, and how it is with others.
    func noteMoved(_ moved: [Int], of segment: Segment, _ turn: Turn) {
        let own = Set(neededIndexes(of: segment))
        let isHeldFrom =
            segment.isDeferred ? Int.max : max(0, topic.released - segment.firstOrdinal)
        for index in moved where index < isHeldFrom && !own.contains(index) {
            if segment.isDeferred, topic.holds(segment, index) { continue }
            noteFinished(index..<index + 1, of: segment, turn)
        }
        guard let share = share(of: segment) else { return }
        for index in share.deliveredIndexes {
            let id = share.state(of: index)
            let isDeferred = deliveries[id].state == .deferred
            let due = turn.now.wall + deliveries[id].due - turn.now.monotonic
            noteReturned(id, dueWall: isDeferred ? due : 0, turn)
        }
    }
}

extension Topic {
    /// No channel has the deferred message yet.
    func holds(_ segment: Segment, _ index: Int) -> Bool {
        held.contains { $0.segment === segment && $0.index == index }
    }
}

extension [Int] {
    /// Ascending numbers as the runs they make.
    fileprivate var runs: [Range<Int>] {
        var runs: [Range<Int>] = []
        for number in self {
            if let last = runs.last, last.upperBound == number {
                runs[runs.count - 1] = last.lowerBound..<number + 1
            } else {
                runs.append(number..<number + 1)
            }
        }
        return runs
    }
}
