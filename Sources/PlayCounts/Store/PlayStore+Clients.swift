import GRDB

/// A client's primary key in the store.
package typealias ClientNumber = Int

extension PlayStore {
    /// Registers exactly the named clients. A new client has accepted no counts. For clients that
    /// are no longer registered, the accepted counts stay in the store, in case they are registered
    /// again.
    ///
    /// - Returns: the primary key of each registered client, by name.
    package func registerClients(_ names: [String]) throws(StoreError) -> [String: ClientNumber] {
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

    /// Renames a client. If a client with the new name exists already, that one is kept, and the
    /// renamed client becomes `former client N`.
    package func renameClient(_ name: String, to newName: String) throws(StoreError) {
        try inDatabase { database in
            try database.execute(
                sql: "UPDATE OR IGNORE clients SET name = ? WHERE name = ?",
                arguments: [newName, name])
            try database.execute(
                sql: "UPDATE clients SET name = 'former client ' || client WHERE name = ?",
                arguments: [name])
        }
    }

    /// Reads the totals that a client has not accepted.
    package func unpublishedCounts(for client: ClientNumber) throws(StoreError) -> [PlayCount] {
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
}
