import DequeModule
import NSQWire

/// How far a topic's messages are in the ledger.
struct NotedUpTo {
    var written = 0
    /// Published since the last write.
    var unwrittenCount = 0
    var unwrittenBytes = 0
}

/// How a topic's messages come into the ledger, leave memory, and come back.
extension Topic {
    // MARK: Writing

    /// Appends what was published since the last write.
    func appendUnwritten(_ turn: Turn) {
        guard let ledger, noted.unwrittenCount > 0 else { return }
        turn.hasNotedMessages()
        for segment in unwrittenSegments {
            let indexes = segment.writtenCount..<segment.count
            ledger.append(
                indexes, of: segment, in: name,
                as: segment.isDeferred ? .deferred(dues(in: segment, turn)) : .published)
        }
    }

    /// In the order of their serials.
    private var unwrittenSegments: [Segment] {
        var left = noted.unwrittenCount
        var found: [Segment] = []
        for segment in segments.reversed() {
            guard left > 0 else { break }
            guard segment.writtenCount < segment.count else { continue }
            left -= segment.count - segment.writtenCount
            found.append(segment)
        }
        return found.reversed()
    }

    private func dues(in segment: Segment, _ turn: Turn) -> [Int64] {
        held.lazy.filter { $0.segment === segment && !$0.isWritten }
            .map { turn.now.wall + $0.due - turn.now.monotonic }
    }

    /// The ledger has all that was published.
    func wasWritten(_ turn: Turn) {
        guard isNoted, noted.unwrittenCount > 0 else { return }
        for segment in unwrittenSegments { segment.writtenCount = segment.count }
        noted = NotedUpTo(written: published)
        trimMemory(turn)
    }

    /// The ledger refused what was published since the last write: it never happened.
    func takeBackUnwritten(_ turn: Turn) {
        guard isNoted, noted.unwrittenCount > 0 else { return }
        let refused = unwrittenSegments
        messageCount -= noted.unwrittenCount
        messageBytes -= noted.unwrittenBytes
        noted = NotedUpTo(written: noted.written)
        published = noted.written
        for message in held where !message.isWritten { message.segment.heldCount -= 1 }
        held.removeAll { !$0.isWritten }
        for segment in refused.reversed() { takeBackUnwritten(in: segment) }
    }

    private func takeBackUnwritten(in segment: Segment) {
        segment.truncate(to: segment.writtenCount)
        // An empty one would begin where no message does any more.
        guard segment.count == 0 || segment.isSealed else { return }
        if segment === tail { tail = nil }
        if segment === deferredTail { deferredTail = nil }
        if segment.isSealed {
            for channel in channels { channel.segmentWasSealed(segment) }
            removeIfUnneeded(segment)
        } else {
            seal(segment)
        }
    }

    // MARK: Memory

    /// Lets go of the memory of what nobody will need soon, beyond `--mem-queue-size` messages.
    func trimMemory(_ turn: Turn) {
        var count = residents.reduce(0) { $0 + $1.count }
        // The youngest first: they are needed last.
        for (place, segment) in residents.enumerated().reversed() {
            guard count > turn.options.memoryQueueSize else { return }
            guard isFarAhead(segment) else { continue }
            segment.pageOut(turn.slabs)
            residents.remove(at: place)
            count -= segment.count
        }
    }

    /// Every channel that needs it has yet to come to it, and no channel is about to.
    private func isFarAhead(_ segment: Segment) -> Bool {
        guard !segment.isDeferred, segment.writtenCount == segment.count else { return false }
        return channels.allSatisfy { $0.isFarFrom(segment) }
    }

    /// Reads a segment's messages back.
    ///
    /// - Returns: `false` if that cannot be done now.
    func read(_ segment: Segment, _ turn: Turn) -> Bool {
        // Before, for nobody but the caller may need what is read.
        trimMemory(turn)
        do throws(LedgerError) {
            let gaps = try segment.pageIn(from: ledger!, turn.slabs)
            if segment.isSealed { residents.append(segment) }
            for gap in gaps {
                for channel in channels { channel.lose(gap, of: segment, turn) }
            }
            return true
        } catch {
            turn.events.append(.unreadable(name, error))
            return false
        }
    }

    func forget(_ segment: Segment) {
        ledger?.forget(segment)
        if let place = residents.firstIndex(where: { $0 === segment }) {
            residents.remove(at: place)
        }
    }
}

extension Channel {
    /// It needs nothing of the segment, or nothing soon.
    func isFarFrom(_ segment: Segment) -> Bool {
        guard let share = share(of: segment) else { return true }
        guard share.isUntouched else { return false }
        guard let next = ahead.first?.lowerBound else { return true }
        return next < segment.firstOrdinal || next >= segment.endOrdinal
    }

    /// These messages are not to be had any more.
    func lose(_ indexes: Range<Int>, of segment: Segment, _ turn: Turn) {
        // Those that have a delivery, as all deferred ones have, are found to be lost when they are
        // delivered.
        guard !segment.isDeferred, let number = shareNumber(serial: segment.serial),
            let share = share(number)
        else { return }
        for index in indexes where removeFromAhead(segment.firstOrdinal + index) {
            guard share.state(of: index) == Share.untouched else { continue }
            share.setState(Share.settledState, of: index)
            noteFinished(index..<index + 1, of: segment, turn)
            share.settled += 1
        }
        letGoIfDone(number)
    }

    /// - Returns: whether it was there.
    private func removeFromAhead(_ ordinal: Int) -> Bool {
        guard let place = ahead.firstIndex(where: { $0.contains(ordinal) }) else { return false }
        let stretch = ahead[place]
        let parts = [stretch.lowerBound..<ordinal, ordinal + 1..<stretch.upperBound]
        ahead.replaceSubrange(place...place, with: parts.filter { !$0.isEmpty })
        acceptedCount -= 1
        return true
    }
}
