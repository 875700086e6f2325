extension Jobs {
    /// Returns the groups of jobs that are retryable or discarded because of similar errors, at most 50,
    /// the largest first.
    ///
    /// - Throws: ``JobsError/Code/storeFailed``.
    public func errorGroups() async throws(JobsError) -> [JobErrorGroup] {
        try await inspection?.snapshot().errors ?? []
    }

    /// The inspection of the store; `nil` if the store has none.
    package var inspection: (any JobInspection)? { store as? any JobInspection }

    package func now() -> JobTime { clock.now() }
}
