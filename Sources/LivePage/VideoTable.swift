import PlayCounts
import TallyBasics

/// All published videos with their last totals. A pure value: no I/O and no clock.
struct VideoTable: Sendable {
    struct Row: Equatable {
        let videoID: VideoID
        var count: Int
        /// The time of the last call with this video, in milliseconds since 1970; 0 for a call
        /// before the page started.
        var updated: Int64
        /// The serial number of the call that published the total.
        var call: UInt32
        var isImmediate: Bool
    }

    /// A row without its video ID.
    private struct StoredRow {
        var count: Int
        var updated: Int64
        var call: UInt32
        var isImmediate: Bool

        init(_ row: Row) {
            (count, updated, call) = (row.count, row.updated, row.call)
            isImmediate = row.isImmediate
        }
    }

    private var videoIDs = GUIDTable()
    /// The rows by the video's index in `videoIDs`, in chunks. One large array would need twice its
    /// memory while it grows.
    private var chunks: [[StoredRow]] = []
    private static let chunkSize = 4096
    /// The sum of all totals.
    private(set) var plays = 0

    var videos: Int { videoIDs.guids.count }

    subscript(videoID: VideoID) -> Row? {
        videoIDs.index(of: videoID).map(row)
    }

    private func row(_ number: Int) -> Row {
        let stored = chunks[number / Self.chunkSize][number % Self.chunkSize]
        return Row(
            videoID: videoIDs.guids[number], count: stored.count, updated: stored.updated,
            call: stored.call, isImmediate: stored.isImmediate)
    }

    var rows: some Sequence<Row> { (0..<videos).lazy.map(row) }

    /// Inserts a row, or replaces the row of the same video.
    mutating func update(_ row: Row) {
        let (number, isNew) = videoIDs.insert(row.videoID)
        let (chunk, index) = (number / Self.chunkSize, number % Self.chunkSize)
        plays += row.count
        if isNew {
            if index == 0 { chunks.append([]) }
            chunks[chunk].append(StoredRow(row))
        } else {
            plays -= chunks[chunk][index].count
            chunks[chunk][index] = StoredRow(row)
        }
    }

    // MARK: Queries

    /// The order, filter and size of a result.
    struct Query: Equatable {
        enum Sort: String { case plays, recent, video }

        var sort = Sort.plays
        var isAscending = false
        /// The text to find in the GUID, in lower case; an empty text matches all videos.
        var search = ""
        var limit = 100

        static let maxLimit = 1000

        fileprivate func isBefore(_ one: Row, _ other: Row) -> Bool {
            let (first, second) = isAscending ? (one, other) : (other, one)
            switch sort {
            case .plays where one.count != other.count: return first.count < second.count
            // Among equal totals, the row with the earlier call comes first, so that it keeps its
            // position when another video reaches its total.
            case .plays where one.call != other.call: return one.call < other.call
            case .recent where one.updated != other.updated: return first.updated < second.updated
            case .recent where one.call != other.call: return first.call < second.call
            case .video: return first.hasSmallerID(than: second)
            // Other rows with equal keys are ordered by ascending ID in both directions.
            default: return one.hasSmallerID(than: other)
            }
        }
    }

    /// Returns the first matching rows in the query's order, and the number of all matching rows.
    ///
    /// The method finds the first rows in one pass, because sorting a million rows for a request of
    /// 100 would take too long.
    func rows(_ query: Query) -> (rows: [Row], matching: Int) {
        var best: [Row] = []
        var matching = 0
        let limit = max(1, query.limit)
        for number in 0..<videos {
            let row = row(number)
            guard query.search.isEmpty || row.videoID.contains(query.search) else { continue }
            matching += 1
            if best.count == limit {
                guard query.isBefore(row, best[limit - 1]) else { continue }
                best.removeLast()
            }
            best.insert(row, at: best.insertionIndex(of: row, query.isBefore))
        }
        return (best, matching)
    }
}

extension VideoTable.Row {
    fileprivate func hasSmallerID(than other: Self) -> Bool {
        (videoID.high, videoID.low) < (other.videoID.high, other.videoID.low)
    }
}

extension [VideoTable.Row] {
    /// The index at which `row` keeps the array sorted.
    fileprivate func insertionIndex(of row: Element, _ isBefore: (Element, Element) -> Bool) -> Int
    {
        partitioningIndex { isBefore(row, $0) }
    }
}

extension GUID {
    /// Returns `true` if the GUID's text contains `part`.
    fileprivate func contains(_ part: String) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: GUID.textBytes, alignment: 1) { text in
            write(to: text)
            let part = part.utf8
            guard part.count <= text.count else { return false }
            return (0...text.count - part.count).contains { start in
                text[start..<start + part.count].elementsEqual(part)
            }
        }
    }
}
