import DequeModule

/// When the memory of a topic's messages is let go of.
extension Topic {
    func seal(_ segment: Segment?) {
        guard let segment else { return }
        segment.seal()
        if isNoted, segment.isResident { residents.append(segment) }
        for channel in channels { channel.segmentWasSealed(segment) }
        removeIfUnneeded(segment)
    }

    /// One claim on the segment less.
    func letGo(_ segment: Segment) {
        segment.claims -= 1
        removeIfUnneeded(segment)
    }

    func removeIfUnneeded(_ segment: Segment) {
        guard segment.isSealed, segment.claims == 0, segment.heldCount == 0,
            segment.isDeferred || segment.endOrdinal <= released || segment.count == 0
        else { return }
        if isNoted { forget(segment) }
        if segments.first === segment {
            segments.removeFirst()
        } else if let place = segments.firstIndex(where: { $0 === segment }) {
            segments.remove(at: place)
        }
    }

    /// Looks after what a quiet time leaves behind: slabs that nobody needs any more, or that a
    /// few messages hold.
    func sweep(_ turn: Turn) {
        // As large as what came in an interval: a thousand quiet topics must not hold a slab of
        // full size each because they were busy once.
        let recentBytes = storedBytes - storedWhenSwept
        storedWhenSwept = storedBytes
        nextSize = SlabPool.sizes.firstIndex { $0 >= recentBytes } ?? SlabPool.sizes.count - 1
        closeTail(&tail, recentBytes: recentBytes)
        closeTail(&deferredTail, recentBytes: recentBytes)
        for segment in segments where segment.isSealed { compact(segment, turn) }
        for channel in channels { channel.sweep() }
    }

    /// Ends a tail that is hardly needed, if it is larger than the next would be.
    private func closeTail(_ tail: inout Segment?, recentBytes: Int) {
        guard let segment = tail,
            recentBytes == 0 || segment.slabBytes > SlabPool.sizes[nextSize],
            fewNeeded(in: segment) != nil
        else { return }
        tail = nil
        seal(segment)
    }

    /// Few messages are worth a copy if it saves most of a slab.
    private func compact(_ segment: Segment, _ turn: Turn) {
        guard segment.isResident, segment.slabBytes > SlabPool.sizes[0],
            let needed = fewNeeded(in: segment),
            segment.compact(to: needed, pool: turn.slabs)
        else { return }
        for channel in channels { channel.segmentWasCompacted(segment) }
    }

    /// The messages that are still needed, ascending, if they are an eighth or less, and if all
    /// channels have come past the others.
    private func fewNeeded(in segment: Segment) -> [Int]? {
        guard segment.isDeferred ? segment.heldCount == 0 : segment.endOrdinal <= released
        else { return nil }
        let limit = max(1, segment.count / 8)
        var needed: Set<Int> = []
        for channel in channels {
            guard let own = channel.unfinished(in: segment, atMost: limit) else { return nil }
            needed.formUnion(own)
        }
        // What is lost is found to be when it is delivered.
        return needed.count <= limit ? needed.filter(segment.holds).sorted() : nil
    }
}
