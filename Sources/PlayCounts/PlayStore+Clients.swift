import GRDB

/// A client's number in the store.
package typealias ClientNumber = Int

extension PlayStore {
    /// Says which clients are published to from now on. A name that is new gets a number, and has
    /// taken nothing yet; one that is left out keeps what it has taken, for when it comes back.
    package func serve(_ names: [String]) throws(StoreError) -> [String: ClientNumber] {
        try inDatabase { database in
            try database.inSavepoint {
                try database.execute(sql: "UPDATE clients SET is_served = 0")
                for name in names {
                    try database.execute(
                        sql: """
                            INSERT INTO clients (name, is_served) VALUES (?, 1)
                            ON CONFLICT (name) DO UPDATE SET is_served = 1
                            """, arguments: [name])
                }
                return .commit
            }
            let rows = try Row.fetchAll(
                database, sql: "SELECT name, client FROM clients WHERE is_served")
            return Dictionary(uniqueKeysWithValues: rows.map { ($0[0], $0[1]) })
        }
    }

    /// The totals that a client has not taken.
    package func missed(by client: ClientNumber) throws(StoreError) -> [PlayCount] {
        try inDatabase { [path] database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT video_id, counts.play_count FROM counts
                    LEFT JOIN published
                        ON published.client = ? AND published.number = counts.number
                    WHERE counts.play_count IS NOT published.play_count
                    """, arguments: [client])
            return try PlayStore.totals(rows, path: path)
        }
    }

    static func totals(_ rows: RowCursor, path: String) throws -> [PlayCount] {
        var totals: [PlayCount] = []
        while let row = try rows.next() {
            totals.append(PlayCount(of: try VideoRows.videoID(row, path: path), row[1]))
        }
        return totals
    }
}
