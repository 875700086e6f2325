import PlayCounts
import PostgreSQL

extension PlayStore {
    /// Refuses a URL for a command whose store is a file.
    ///
    /// - Throws: `UsageError` without the URL, because it may contain a password.
    static func expectFile(_ store: String, of command: String) throws {
        guard store.contains("://") else { return }
        throw UsageError(
            "\(command) needs a file as --store (only tally process counts into a database)")
    }

    /// Opens a store for `body`, which has to close the store when it succeeds.
    ///
    /// If `body` fails before it has counted a play, the files that were created for the store are
    /// removed.
    static func withStore(
        _ location: Location, _ body: (PlayStore) async throws -> Void
    ) async throws {
        let store = try PlayStore(location)
        do {
            try await body(store)
        } catch {
            try? store.abandon()
            throw error
        }
    }
}

extension PostgreSQLConfiguration {
    /// Parses the option `--store`.
    ///
    /// - Returns: `nil` if the store is a file.
    /// - Throws: `UsageError` without the URL, because it may contain a password.
    init?(store: String) throws {
        guard store.contains("://") else { return nil }
        do throws(PostgreSQLError) {
            try self.init(url: store)
        } catch {
            throw UsageError("invalid --store: \(error)")
        }
    }
}
