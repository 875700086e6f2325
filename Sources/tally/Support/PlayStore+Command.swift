import PlayCounts

extension PlayStore {
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
