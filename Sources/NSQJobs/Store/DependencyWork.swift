/// The state that one transaction keeps in memory about jobs that have ended and about their
/// batches: values that it has read, and changes whose consequences are not written yet.
struct DependencyWork {
    /// `true` if any job waits for others; `nil` before it was read.
    var hasDependencies: Bool?
    /// `true` if any job has steps; `nil` before it was read.
    var hasSteps: Bool?
    /// The jobs that have ended, whose dependents are to be released or cancelled.
    private(set) var ended: [(id: JobID, state: JobState)] = []
    /// The changes of batches that are not written yet.
    private(set) var batches: [JobBatchID: JobBatchChange] = [:]
    /// The batches that this transaction has closed. A batch can end when it is closed.
    private(set) var closed: [JobBatchID] = []
    /// The batches to which jobs can be added.
    var known: Set<JobBatchID> = []
    /// The number of dependents (jobs that wait for an ended job) that this change may still release
    /// or cancel.
    var dependentsLeft = DependencyWork.maxDependents
    /// The time of the latest change.
    private(set) var now = JobTime(microseconds: 0)

    /// The maximum number of dependents in one change. The relay continues with the other dependents.
    static let maxDependents = 1_000

    var isSettled: Bool { ended.isEmpty && batches.isEmpty && closed.isEmpty }

    mutating func jobEnded(_ id: JobID, in state: JobState, at now: JobTime) {
        self.now = now
        ended.append((id, state))
    }

    mutating func removeEnded() -> (id: JobID, state: JobState)? { ended.popLast() }

    mutating func change(
        _ batch: JobBatchID, at now: JobTime, _ change: (inout JobBatchChange) -> Void
    ) {
        self.now = now
        change(&batches[batch, default: JobBatchChange()])
    }

    mutating func batchClosed(_ batch: JobBatchID, at now: JobTime) {
        self.now = now
        closed.append(batch)
    }

    /// Removes and returns the changes of batches. A closed batch without another change has an
    /// empty change.
    mutating func removeBatches() -> [JobBatchID: JobBatchChange] {
        var changes = batches
        for batch in closed where changes[batch] == nil { changes[batch] = JobBatchChange() }
        batches = [:]
        closed = []
        return changes
    }
}
