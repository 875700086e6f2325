import Dispatch
import GRDB

extension Jobs {
    /// Where jobs are stored.
    public struct Store: Sendable {
        private let make: @Sendable () throws(JobsError) -> any JobStore

        private init(_ make: @escaping @Sendable () throws(JobsError) -> any JobStore) {
            self.make = make
        }

        /// A database of SQLite in a file, which is created if it does not exist. Each commit is synced.
        /// Any number of processes of one machine can use it.
        public static func sqlite(_ path: String) -> Store {
            Store { () throws(JobsError) in try SQLiteJobStore(path: path) }
        }

        /// The application's own database, in which tables with the prefix `nsq_jobs_` are created. Use it
        /// with ``Jobs/enqueue(_:in:after:options:)``.
        ///
        /// - Parameters:
        ///   - writer: a `DatabasePool` or a `DatabaseQueue`. If several processes use the database, such
        ///     as workers, its `Configuration.busyMode` must be a timeout. With GRDB's default, a
        ///     transaction fails when another process writes at the same time.
        ///   - requiresSync: `true` (the default) refuses a database that does not sync its commits,
        ///     because it can lose the latest jobs in a power failure. GRDB opens a `DatabasePool`
        ///     without syncing commits: execute `PRAGMA synchronous = FULL` on the writer, or pass
        ///     `false`.
        public static func sqlite(
            in writer: any DatabaseWriter, requiresSync: Bool = true
        ) -> Store {
            Store { () throws(JobsError) in
                try SQLiteJobStore(in: writer, requiresSync: requiresSync)
            }
        }

        /// A database in memory, for tests.
        public static let memory = Store { () throws(JobsError) in
            try SQLiteJobStore(inMemory: .system)
        }

        /// Another implementation.
        package static func custom(_ store: any JobStore) -> Store {
            Store { () throws(JobsError) in store }
        }

        /// Opens the store on a thread that may block.
        func open() async throws(JobsError) -> any JobStore {
            let make = make
            let result: Result<any JobStore, JobsError> = await withCheckedContinuation { waiter in
                DispatchQueue.global().async {
                    do throws(JobsError) {
                        waiter.resume(returning: .success(try make()))
                    } catch {
                        waiter.resume(returning: .failure(error))
                    }
                }
            }
            return try result.get()
        }
    }
}
