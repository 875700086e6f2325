import DequeModule
import GRDB
import UVLoop

/// Groups the changes of many tasks into one transaction: all changes that arrive while a commit runs
/// become the next transaction. So a busy store syncs once for many changes, and a lone change waits for
/// nothing.
///
/// A change that fails with a ``JobsError`` is rolled back to its savepoint, and the other changes of
/// its transaction are committed. Any other error rolls back the transaction and fails all of its
/// changes.
final class GroupCommit: Sendable {
    /// The maximum number of changes in a transaction.
    static let maxChanges = 512
    private struct Change: Sendable {
        let run: @Sendable (JobTransaction) throws -> Void
        let finish: @Sendable (JobsError?) -> Void
    }

    private struct State {
        var waiting: Deque<Change> = []
        var isCommitting = false
    }

    private let writer: any DatabaseWriter
    private let maxWaiting: Int
    private let state = LockedValue(State())

    /// - Parameter maxWaiting: the maximum number of changes that wait; further ones fail at once.
    init(_ writer: any DatabaseWriter, maxWaiting: Int) {
        self.writer = writer
        self.maxWaiting = maxWaiting
    }

    /// Runs `body` in the next transaction, and returns when it is committed.
    func write<Result: Sendable>(
        _ body: @escaping @Sendable (JobTransaction) throws -> Result
    ) async throws(JobsError) -> Result {
        let outcome: Swift.Result<Result, JobsError> = await withCheckedContinuation { request in
            let result = LockedValue<Result?>(nil)
            let change = Change(
                run: { transaction in
                    let value = try body(transaction)
                    result.withLock { $0 = value }
                },
                finish: { error in
                    if let error { return request.resume(returning: .failure(error)) }
                    guard let value = result.withLock({ $0 }) else {
                        preconditionFailure("a committed change has a result")
                    }
                    request.resume(returning: .success(value))
                })
            submit(change)
        }
        return try outcome.get()
    }

    private func submit(_ change: Change) {
        enum Answer { case scheduled, waiting, refused }
        let answer = state.withLock { state -> Answer in
            guard state.waiting.count < maxWaiting else { return .refused }
            state.waiting.append(change)
            defer { state.isCommitting = true }
            return state.isCommitting ? .waiting : .scheduled
        }
        switch answer {
        case .waiting: break
        case .scheduled: writer.asyncWriteWithoutTransaction { self.commitWaiting($0) }
        case .refused:
            change.finish(
                JobsError(
                    .storeFailed, "\(maxWaiting) changes of the store are waiting already"))
        }
    }

    private func commitWaiting(_ database: Database) {
        let changes = state.withLock { state in
            let count = min(state.waiting.count, Self.maxChanges)
            defer { state.waiting.removeFirst(count) }
            return Array(state.waiting.prefix(count))
        }
        let errors = commit(changes, database)
        let hasMore = state.withLock { state in
            state.isCommitting = !state.waiting.isEmpty
            return state.isCommitting
        }
        // Other users of the writer can run between two transactions.
        if hasMore { writer.asyncWriteWithoutTransaction { self.commitWaiting($0) } }
        for (change, error) in zip(changes, errors) { change.finish(error) }
    }

    /// Commits the changes in one transaction.
    ///
    /// - Returns: the error of each change; `nil` for those that are committed.
    private func commit(_ changes: [Change], _ database: Database) -> [JobsError?] {
        do {
            var errors: [JobsError?] = []
            try database.inTransaction(.immediate) {
                let transaction = JobTransaction(database)
                for change in changes {
                    do {
                        try run(change, in: transaction, isAlone: changes.count == 1)
                        errors.append(nil)
                    } catch let error as JobsError where changes.count > 1 {
                        errors.append(error)
                    }
                }
                try transaction.writeCounts()
                return .commit
            }
            return errors
        } catch {
            return changes.map { _ in JobsError(storeError: error) }
        }
    }

    private func run(_ change: Change, in transaction: JobTransaction, isAlone: Bool) throws {
        func run() throws {
            try change.run(transaction)
            try transaction.settleConsequences()
        }
        // A lone change needs no savepoint, because its error rolls back the transaction.
        if isAlone { try run() } else { try transaction.isolated(run) }
    }
}

extension JobsError {
    /// Converts an error of the store.
    init(storeError error: any Error) {
        switch error {
        case let error as JobsError: self = error
        case is CancellationError: self.init(.cancelled, "the task was cancelled")
        case let error as DatabaseError:
            self.init(
                .storeFailed, "the job store failed: \(error.message ?? "\(error.resultCode)")")
        default: self.init(.storeFailed, "the job store failed: \(error)")
        }
    }
}
