import PlayCounts

extension PlayStore {
    /// Opens a store for a command, which closes it when it succeeds.
    ///
    /// When the command fails before it has counted a play, the files that were created for it are
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
