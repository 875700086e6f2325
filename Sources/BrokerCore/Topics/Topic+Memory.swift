/// Release of the memory of segments in which few messages are still needed.
extension Topic {
    /// Closes a tail segment that contains few needed messages and is larger than the next segment
    /// would be.
    ///
    /// - Parameter recentBytes: the size of the messages published since the last maintenance, in
    ///   bytes.
    func closeIfUnneeded(_ tail: Segment, recentBytes: Int) {
        guard recentBytes == 0 || tail.slabBytes > segments.nextSlabBytes,
            fewNeededIndexes(of: tail) != nil
        else { return }
        segments.closeTail(tail)
        seal(tail)
    }

    /// Copies the needed messages of a segment to a smaller slab if they are few.
    func compact(_ segment: Segment) {
        guard segment.isResident, segment.slabBytes > SlabPool.sizes[0],
            let needed = fewNeededIndexes(of: segment),
            segment.compact(to: needed, pool: context.slabs)
        else { return }
        for channel in channels { channel.didCompact(segment) }
    }

    /// Returns the indexes of a segment's messages that are still needed, in ascending order.
    ///
    /// - Returns: `nil` if more than an eighth of the messages are needed, or some of them are
    ///   undispatched or ahead of a channel's cursor.
    private func fewNeededIndexes(of segment: Segment) -> [Int]? {
        guard undispatched.count(in: segment) == 0 else { return nil }
        let limit = max(1, segment.count / 8)
        var needed: Set<Int> = []
        for channel in channels {
            guard let unfinished = channel.unfinished(in: segment, atMost: limit) else {
                return nil
            }
            needed.formUnion(unfinished)
        }
        // Lost messages are settled later, when they are redelivered.
        return needed.count <= limit ? needed.filter(segment.contains).sorted() : nil
    }
}
