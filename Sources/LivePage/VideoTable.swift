import PlayCounts

/// Every video that was published, with its last total. Pure.
struct VideoTable: Sendable {
    struct Row: Equatable {
        let videoID: VideoID
        var count: Int
        /// Milliseconds since 1970; 0 if it was published before the page was there.
        var updated: Int64
        /// The call that brought the total.
        var call: UInt32
        var isImmediate: Bool
    }

    /// A row without its video.
    private struct Figures {
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
    /// In pieces, by the video's number: an array of a million that grows is there twice.
    private var figures: [[Figures]] = []
    private static let pieceCount = 4096
    /// The sum of all totals.
    private(set) var plays = 0

    var videos: Int { videoIDs.guids.count }

    subscript(videoID: VideoID) -> Row? {
        videoIDs.number(of: videoID).map(row)
    }

    private func row(_ number: Int) -> Row {
        let figures = figures[number / Self.pieceCount][number % Self.pieceCount]
        return Row(
            videoID: videoIDs.guids[number], count: figures.count, updated: figures.updated,
            call: figures.call, isImmediate: figures.isImmediate)
    }

    var rows: some Sequence<Row> { (0..<videos).lazy.map(row) }

    mutating func publish(_ row: Row) {
        let (number, isNew) = videoIDs.insert(row.videoID)
        let (piece, place) = (number / Self.pieceCount, number % Self.pieceCount)
        plays += row.count
        if isNew {
            if place == 0 { figures.append([]) }
            figures[piece].append(Figures(row))
        } else {
            plays -= figures[piece][place].count
            figures[piece][place] = Figures(row)
        }
    }

    // MARK: Looking

    /// What a reader wants to see of the table.
    struct View: Equatable {
        enum Sort: String { case plays, recent, video }

        var sort = Sort.plays
        var isAscending = false
        /// A part of the GUID, in lower case; empty is any.
        var search = ""
        var limit = 100

        static let maxLimit = 1000

        fileprivate func isBefore(_ one: Row, _ other: Row) -> Bool {
            let (first, second) = isAscending ? (one, other) : (other, one)
            switch sort {
            case .plays where one.count != other.count: return first.count < second.count
            case .recent where one.updated != other.updated: return first.updated < second.updated
            case .video: return first.isNamedBefore(second)
            // Where all is even, the order is the same whichever way one looks.
            default: return one.isNamedBefore(other)
            }
        }
    }

    /// The first rows in the view's order, and how many there are in all.
    ///
    /// One pass that keeps the best: a table of a million is not sorted for the sake of a hundred.
    func look(_ view: View) -> (rows: [Row], matching: Int) {
        var best: [Row] = []
        var matching = 0
        let limit = max(1, view.limit)
        for number in 0..<videos {
            let row = row(number)
            guard view.search.isEmpty || row.videoID.contains(view.search) else { continue }
            matching += 1
            if best.count == limit {
                guard view.isBefore(row, best[limit - 1]) else { continue }
                best.removeLast()
            }
            best.insert(row, at: best.place(of: row, view.isBefore))
        }
        return (best, matching)
    }
}

extension VideoTable.Row {
    fileprivate func isNamedBefore(_ other: Self) -> Bool {
        (videoID.high, videoID.low) < (other.videoID.high, other.videoID.low)
    }
}

extension [VideoTable.Row] {
    /// Where `row` goes in an array that is in order.
    fileprivate func place(of row: Element, _ isBefore: (Element, Element) -> Bool) -> Int {
        var range = startIndex..<endIndex
        while !range.isEmpty {
            let middle = (range.lowerBound + range.upperBound) / 2
            if isBefore(row, self[middle]) {
                range = range.lowerBound..<middle
            } else {
                range = middle + 1..<range.upperBound
            }
        }
        return range.lowerBound
    }
}

extension GUID {
    /// Whether its text holds `part`.
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
