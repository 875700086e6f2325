/// What a transaction knows about the limits of queues and keys.
struct LimitMemory {
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
    var areNone = false
    /// The use of the scopes that were read.
    var uses: [LimitScope: LimitUse] = [:]
    /// The scopes whose free slots are to be given to waiting jobs, without repetition. Those of keys come
    /// first, because their jobs can then wait for the queue.
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
