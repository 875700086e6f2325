/// Memory of segments: reading messages back from the message log, and releasing the memory of segments
/// in which few messages are still needed.
extension Topic {
    /// Reads a segment's messages from the log into memory.
    ///
    /// - Returns: `false` if the log cannot be read now.
    func pageIn(_ segment: Segment) -> Bool {
        // The memory is trimmed before the read, because trimming after the read could release this
        // segment again.
        log!.trimMemory(isFarAhead)
        guard let gaps = log!.pageIn(segment) else { return false }
        for gap in gaps {
            for channel in channels { channel.lose(gap, of: segment) }
        }
        return true
    }

    /// Releases the memory of a segment that was read from the log.
    func pageOut(_ segment: Segment) { log!.pageOut(segment) }

    /// Returns `true` if no channel reads the segment soon.
    func isFarAhead(_ segment: Segment) -> Bool {
        channels.allSatisfy { $0.isFarFrom(segment) }
    }

    /// Closes the tail segments that contain few needed messages, and sets the size of the next slab.
    func closeUnneededTails() {
        let recentBytes = segments.adaptSlabSize(storedBytes: storedBytes)
        for tail in segments.tails { closeIfUnneeded(tail, recentBytes: recentBytes) }
    }

    /// Closes a tail segment that contains few needed messages, if no messages were published
    /// recently or the next segment would be smaller.
    ///
    /// - Parameter recentBytes: the size of the messages published since the last maintenance, in
    ///   bytes.
    private func closeIfUnneeded(_ tail: Segment, recentBytes: Int) {
        guard recentBytes == 0 || tail.slabBytes > segments.nextSlabBytes,
            fewNeededIndexes(of: tail) != nil
        else { return }
        segments.closeTail(tail)
        seal(tail)
    }

    /// Copies the needed messages of a segment to a smaller slab if they are few.
    func compact(_ segment: Segment) {
        guard segment.isSealed, segment.isResident, segment.slabBytes > SlabPool.sizes[0],
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
            guard needed.count <= limit else { return nil }
        }
        // Lost messages are settled later, when they are due for redelivery.
        return needed.filter(segment.contains).sorted()
    }
}
