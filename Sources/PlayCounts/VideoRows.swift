import GRDB

/// Which row of the store each video has. Rows are given out in the order of first plays, so new
/// videos go to the end of the table and old favourites lie close together.
///
/// A row given out in a transaction that then fails does no harm: the video gets it when it comes
/// again, or the row stays empty.
struct VideoRows {
    private var videoIDs = GUIDTable()
    // INVARIANT: the row of each of `videoIDs`, by its number.
    private var rows: [Int32] = []
    private var next: Int32 = 0

    /// Reads the rows there are.
    init(in database: Database, path: String) throws {
        let rows = try Row.fetchCursor(database, sql: "SELECT video_id, number FROM counts")
        while let row = try rows.next() {
            let videoID = try VideoRows.videoID(row, path: path)
            guard videoIDs.insert(videoID).isNew else {
                throw StoreError(.damaged, path: path, detail: "\(videoID) is in it twice")
            }
            let number: Int32 = row[1]
            self.rows.append(number)
            next = max(next, number + 1)
        }
    }

    subscript(videoID: VideoID) -> Int32 {
        mutating get {
            let (number, isNew) = videoIDs.insert(videoID)
            if isNew {
                rows.append(next)
                next += 1
            }
            return rows[number]
        }
    }

    /// The first column as a GUID.
    static func videoID(_ row: Row, path: String) throws -> VideoID {
        let text: String = row[0]
        guard let videoID = VideoID(text) else {
            throw StoreError(.damaged, path: path, detail: "\(text) is no GUID")
        }
        return videoID
    }
}
