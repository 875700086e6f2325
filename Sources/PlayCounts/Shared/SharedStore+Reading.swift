import PostgreSQL
import UVLoop

extension SharedStore {
    /// Reads the totals of all videos, with the totals that all clients have accepted. The method
    /// blocks the calling thread.
    ///
    /// - Throws: `SharedStoreError`; `UVError` if the process has no file descriptors left.
    package static func readCounts(
        in configuration: PostgreSQLConfiguration
    ) throws -> [PlayStore.StoredCount] {
        let loop = try Loop()
        let session = PostgreSQLSession(configuration, on: loop)
        defer {
            session.close()
            loop.close()
        }
        var outcome: Result<PostgreSQLRows, PostgreSQLError>?
        session.execute(PostgreSQLStatement(allCounts), within: .seconds(60)) { result in
            outcome = result
            loop.stop()
        }
        loop.run()
        switch outcome {
        case .success(let rows)?:
            return (0..<rows.count).compactMap { row in
                rows.videoID(row, 0).map {
                    PlayStore.StoredCount(
                        of: $0, rows.int(row, 1) ?? 0, published: rows.int(row, 2) ?? 0)
                }
            }
        case .failure(let error)?:
            guard error.isMissingSchema else {
                throw SharedStoreError(error, store: configuration.description)
            }
            throw SharedStoreError(.missing, store: configuration.description, detail: "")
        case nil: preconditionFailure("the loop runs until the completion")
        }
    }

    private static let allCounts = """
        SELECT c.video_id, c.play_count, coalesce(d.published, 0) FROM tally.counts c
        LEFT JOIN (
            SELECT video_id, min(published) AS published FROM tally.deliveries GROUP BY video_id
        ) d USING (video_id)
        """
}

extension PostgreSQLError {
    /// `true` if the schema or a table of it does not exist.
    var isMissingSchema: Bool { ["42P01", "3F000"].contains(sqlState) }
}
