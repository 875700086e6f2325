/// Where a segment's records lie in the journal: a few stretches, in each of which others may lie
/// between them.
struct SegmentPlaces {
    struct Stretch: Equatable {
        var file: UInt32
        var range: Range<Int>
    }

    private(set) var stretches: [Stretch] = []

    /// More would cost memory for each of millions of messages that come singly.
    static let maxCount = 32
    /// Others' records between two of ours that are rather read over than noted.
    static let smallGap = 16 << 10

    mutating func add(_ range: Range<Int>, in file: UInt32) {
        guard let last = stretches.last, last.file == file,
            range.lowerBound - last.range.upperBound <= Self.smallGap
                || stretches.count >= Self.maxCount
        else { return stretches.append(Stretch(file: file, range: range)) }
        stretches[stretches.count - 1].range = last.range.lowerBound..<range.upperBound
    }

    /// The files that something of it lies in.
    var files: Set<UInt32> { Set(stretches.map(\.file)) }
}
