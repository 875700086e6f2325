/// The extents of one segment: byte ranges of journal files that contain all its records. An extent
/// may also contain records of other segments.
struct SegmentExtents {
    struct Extent: Equatable {
        var file: UInt32
        var range: Range<Int>
    }

    private(set) var extents: [Extent] = []

    /// The number of extents after which a further range is merged into the last extent of the same
    /// file. The limit saves memory when millions of segments are published one message at a time.
    static let maxCount = 32
    /// The largest gap in bytes that one extent includes between two records. Reading the gap is
    /// cheaper than storing another extent.
    static let maxGap = 16 << 10

    /// Extends the last extent by a record's byte range, or adds a new extent.
    mutating func add(_ range: Range<Int>, in file: UInt32) {
        guard let last = extents.last, last.file == file,
            range.lowerBound - last.range.upperBound <= Self.maxGap
                || extents.count >= Self.maxCount
        else { return extents.append(Extent(file: file, range: range)) }
        extents[extents.count - 1].range = last.range.lowerBound..<range.upperBound
    }

    /// The numbers of the files that contain records of the segment.
    var files: Set<UInt32> { Set(extents.map(\.file)) }
}
