import DequeModule
import NSQWire

/// How a topic comes to be again what it was.
extension Topic {
    func recover(_ messages: RecoveredMessages, _ turn: Turn) {
        guard let segment = recoveredSegment(of: messages, turn) else { return }
        let found = segment.recover(messages.run.indexes, byteCount: messages.byteCount)
        guard !found.isEmpty else { return }
        switch messages.kind {
        case .published: recoverPublished(upTo: segment.endOrdinal, turn)
        case .moved(let released):
            self.released = max(self.released, min(segment.endOrdinal, released))
            for indexes in found {
                let first = segment.firstOrdinal + indexes.lowerBound
                let end = min(segment.firstOrdinal + indexes.upperBound, released)
                for channel in channels where first < end { channel.accept(first..<end, turn) }
            }
            recoverPublished(upTo: segment.endOrdinal, turn)
        case .deferred(let dues), .movedDeferred(let dues):
            for (index, due) in zip(messages.run.indexes, dues)
            where due != 0 && found.contains(where: { $0.contains(index) }) {
                segment.heldCount += 1
                held.append(
                    HeldMessage(
                        segment: segment, index: index,
                        due: turn.now.monotonic + due - turn.now.wall))
            }
            handOver(turn)
        }
    }

    private func recoverPublished(upTo ordinal: Int, _ turn: Turn) {
        published = max(published, ordinal)
        noted.written = published
        // With no channel all of it is held; what a channel was handed is never held again.
        handOver(turn)
    }

    /// The segment that they lie in; the one before it got its last message.
    private func recoveredSegment(of messages: RecoveredMessages, _ turn: Turn) -> Segment? {
        let serial = messages.run.serial
        if let segment = segments.last(where: { $0.serial == serial }) { return segment }
        // It came before others, and all of it was needed by nobody any more.
        guard segments.allSatisfy({ $0.serial < serial }) || messages.isMoved else { return nil }
        seal(messages.isDeferred ? deferredTail : tail)
        let segment = Segment(
            serial: serial, firstOrdinal: messages.firstOrdinal,
            isDeferred: messages.isDeferred, slab: turn.slabs.none)
        insert(segment)
        if messages.isDeferred { deferredTail = segment } else { tail = segment }
        return segment
    }

    private func insert(_ segment: Segment) {
        let place = segments.firstIndex { $0.serial > segment.serial } ?? segments.count
        segments.insert(segment, at: place)
        for channel in channels { channel.adoptRecovered(segment) }
    }

    /// Channels that nobody noted had all that there was.
    func recoverHandingOver() {
        released = published
        for message in held { message.segment.heldCount -= 1 }
        held.removeAll()
        for segment in segments { removeIfUnneeded(segment) }
    }

    /// Nothing that was there before grows any more.
    func endRecovery(_ turn: Turn) {
        let tails = [tail, deferredTail]
        tail = nil
        deferredTail = nil
        for segment in tails { seal(segment) }
        handOver(turn)
        for channel in channels { channel.endRecovery(turn) }
        for segment in segments { segment.missing = [] }
        hasGaps = true
        messageCount = 0
        messageBytes = 0
        noted = NotedUpTo(written: published)
    }
}

extension RecoveredMessages {
    var isMoved: Bool {
        switch kind {
        case .moved, .movedDeferred: true
        case .published, .deferred: false
        }
    }
}
