import GRDB

/// Assigns each video a row of the `counts` table, in the order of first plays. So rows of new
/// videos are appended to the table, and those of older, often played videos are close together.
///
/// An assignment remains valid if its transaction fails: a later transaction uses the row, or the
/// row stays unused.
struct VideoRows {
    private var videoIDs = GUIDTable()
    // INVARIANT: has the row ID of each of `videoIDs`, at the index of the GUID.
    private var rows: [Int32] = []
    private var next: Int32 = 0

    /// `true` if no video has a row.
    var isEmpty: Bool { rows.isEmpty }

    /// Reads the rows of a store.
    init(in database: Database, path: String) throws {
        let rows = try Row.fetchCursor(database, sql: "SELECT video_id, number FROM counts")
        while let row = try rows.next() {
            let videoID = try VideoRows.videoID(row, path: path)
            guard videoIDs.insert(videoID).isNew else {
                throw StoreError(.damaged, path: path, detail: "two rows for video \(videoID)")
            }
            let number: Int32 = row[1]
            self.rows.append(number)
            next = max(next, number + 1)
        }
    }

    /// The row ID of a video. A video without a row gets the next unused row ID.
    subscript(videoID: VideoID) -> Int32 {
        mutating get {
            let (index, isNew) = videoIDs.insert(videoID)
            if isNew {
                rows.append(next)
                next += 1
            }
            return rows[index]
        }
    }

    /// Reads the first column of a query's row as a GUID.
    static func videoID(_ row: Row, path: String) throws -> VideoID {
        let text: String = row[0]
        guard let videoID = VideoID(text) else {
            throw StoreError(.damaged, path: path, detail: "invalid video ID '\(text)'")
        }
        return videoID
    }
}
