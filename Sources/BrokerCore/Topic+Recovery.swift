import DequeModule
import NSQWire

/// How a topic comes to be again what it was. Nothing is sealed, and so nothing let go of, before the
/// end: what was moved comes further back than where it was.
extension Topic {
    func recover(_ messages: RecoveredMessages, _ turn: Turn) {
        let segment = recoveredSegment(of: messages, turn)
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

    /// The segment that they lie in.
    private func recoveredSegment(of messages: RecoveredMessages, _ turn: Turn) -> Segment {
        let serial = messages.run.serial
        let behind = segments.lastIndex { $0.serial <= serial }
        if let behind, segments[behind].serial == serial { return segments[behind] }
        let segment = Segment(
            serial: serial, firstOrdinal: messages.firstOrdinal,
            isDeferred: messages.isDeferred, slab: turn.slabs.none)
        segments.insert(segment, at: behind.map { $0 + 1 } ?? 0)
        for channel in channels { channel.adoptRecovered(segment) }
        return segment
    }

    /// Channels that nobody noted had all that there was.
    func recoverHandingOver() {
        released = published
        _ = takeHeld(held.count)
    }

    /// These were handed over, and those before them.
    func recoverHandingOver(ofDeferred indexes: Range<Int>, in segment: Segment, _ turn: Turn) {
        let last = held.lastIndex { $0.segment === segment && indexes.contains($0.index) }
        if let last { handOver(takeHeld(last + 1), turn) }
    }

    /// Of the ordinals from `released` on, those that there is a message of.
    private var heldOrdinalCount: Int {
        segments.lazy.filter { !$0.isDeferred && $0.endOrdinal > self.released }.reduce(0) {
            let held = max(0, released - $1.firstOrdinal)..<$1.count
            return $0 + held.count - $1.missing.reduce(0) { $0 + $1.clamped(to: held).count }
        }
    }

    /// Nothing that was there before grows any more.
    func endRecovery(_ turn: Turn) {
        handOver(turn)
        lostCount = published - released - heldOrdinalCount
        for segment in segments { segment.seal() }
        for channel in channels { channel.endRecovery(turn) }
        for segment in segments {
            segment.missing = []
            removeIfUnneeded(segment)
        }
        messageCount = 0
        messageBytes = 0
        noted = NotedUpTo(written: published)
    }
}
