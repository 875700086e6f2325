import NSQJobs
import UVLoop

/// Performs changes of many jobs (bulk operations), each in a task of its own. Each transaction of
/// the store changes at most 500 jobs.
final class BulkRunner: Sendable {
    private struct State {
        var list = JobBulkOperationList()
        var tasks: [Int: Task<Void, Never>] = [:]
        var isStopped = false
    }

    private let jobs: Jobs
    private let state = LockedValue(State())

    init(_ jobs: Jobs) { self.jobs = jobs }

    /// The operations from the oldest to the newest.
    var operations: [JobBulkOperation] { state.withLock { $0.list.operations } }

    /// Starts a change.
    ///
    /// - Parameters:
    ///   - name: the name of the change for the page and the action log.
    ///   - target: a description of the selected jobs for the page and the action log.
    ///   - ended: a closure that runs after the operation has ended.
    /// - Returns: the number of the operation; `nil` if too many run or the runner has stopped.
    func start(
        _ change: JobBulkChange, _ name: String, of query: JobQuery, target: String,
        _ preview: JobQueryPreview, ended: @escaping @Sendable () async -> Void
    ) -> Int? {
        state.withLock { state in
            guard !state.isStopped,
                let operation = state.list.start(
                    name, target: target, preview, at: jobs.now())
            else { return nil }
            let number = operation.number
            // The task cannot end before it is stored here, because it needs the lock at its end.
            state.tasks[number] = Task {
                await self.run(number, change, query)
                await ended()
            }
            return number
        }
    }

    /// Cancels an operation. Transactions that are already committed are not undone.
    ///
    /// - Returns: `false` if no operation with this number runs.
    func cancel(_ number: Int) -> Bool {
        let task = state.withLock { state in
            state.list[number]?.state == .running ? state.tasks[number] : nil
        }
        task?.cancel()
        return task != nil
    }

    /// Cancels all operations, and waits for their current transactions.
    func stop() async {
        let tasks = state.withLock { state in
            state.isStopped = true
            return state.tasks.values.map { $0 }
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    private func run(_ number: Int, _ change: JobBulkChange, _ query: JobQuery) async {
        var failure: String?
        do throws(JobsError) {
            try await jobs.changeAll(matching: query, change) { progress in
                state.withLock { $0.list.update(number) { $0.advance(to: progress) } }
            }
        } catch {
            // A cancelled read of the store is the expected end of a cancelled operation.
            if error.code != .cancelled { failure = error.reason }
        }
        let (isCancelled, now) = (Task.isCancelled, jobs.now())
        let entry = state.withLock { state in
            state.list.update(number) {
                if let failure {
                    $0.end(.failed, error: failure, at: now)
                } else {
                    $0.end(isCancelled ? .cancelled : .finished, at: now)
                }
            }
            return state.list[number]?.logEntry
        }
        if let entry {
            // The current task may be cancelled, which would cancel the write too. A new task
            // stores the entry in any case.
            await Task { [jobs] in try? await jobs.inspection?.record(entry, at: now) }.value
        }
        state.withLock { $0.tasks[number] = nil }
    }
}
