/// The state that one transaction keeps in memory about the limits of queues and keys: values that
/// it has read, and the scopes that it has yet to settle.
struct UnsettledLimits {
    /// The limits of a queue.
    struct QueueLimits {
        /// The limit of all jobs of the queue together.
        var whole: JobLimit?
        /// The limit of the jobs of each key.
        var perKey: JobLimit?
    }

    /// The queues with a limit; `nil` before they are read.
    var queues: [Int64: QueueLimits]?
    /// `true` if it is known that no queue has a limit.
    var hasNoLimits = false
    /// The use of the scopes that were read.
    var uses: [LimitScope: LimitUse] = [:]
    /// The scopes (queues, or keys of a queue) whose free slots must be given to waiting jobs, without
    /// duplicates. Scopes of keys are settled first, because their jobs may then have to wait for the
    /// limit of the queue.
    private(set) var unsettled: [LimitScope] = []
    /// The time of the latest change.
    private(set) var now = JobTime(microseconds: 0)

    /// `true` if there are scopes to settle.
    var isUnsettled: Bool { !unsettled.isEmpty }

    /// Records that slots of a scope may be free, or that its wake-up may have changed.
    mutating func mustSettle(_ scope: LimitScope, at now: JobTime) {
        self.now = now
        guard !unsettled.contains(scope) else { return }
        unsettled.append(scope)
    }

    /// Removes the next scope to settle.
    mutating func nextUnsettled() -> LimitScope? {
        guard !unsettled.isEmpty else { return nil }
        let index = unsettled.firstIndex { $0.key != nil } ?? 0
        return unsettled.remove(at: index)
    }
}
