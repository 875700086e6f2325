import GRDB
import NSQJobs
import NSQJobsEmbedded

/// An application that counts the words of articles and comments in the background.
///
/// The texts and the jobs are in one database, so a text and its job are stored in one transaction: the
/// job finds its text, and a text that is rolled back has no job.
public final class WordCounts: Sendable {
    public let database: DatabasePool
    public let jobs: Jobs
    private let worker: JobWorker
    private let working: Task<Void, any Error>

    /// - Parameter path: the path of the database, which is created if it does not exist.
    public init(path: String) async throws {
        var configuration = Configuration()
        // Waits while another process writes.
        configuration.busyMode = .timeout(10)
        let database = try DatabasePool(path: path, configuration: configuration)
        try await database.writeWithoutTransaction {
            try $0.execute(sql: "PRAGMA synchronous = FULL")
        }
        try await database.write { try Text.createTable($0) }
        let jobs = try await Jobs(store: .sqlite(in: database), nsqd: .embedded)
        let worker = jobs.worker(queues: ["words"], concurrency: 4) { handlers in
            handlers.register(CountWords.self) { try await $0.perform($1, in: database) }
        }
        self.database = database
        self.jobs = jobs
        self.worker = worker
        working = Task { try await worker.run() }
    }

    /// Stores a text and the job that counts its words, in one transaction.
    ///
    /// - Returns: the identity of the text.
    @discardableResult
    public func add(_ text: Text) async throws -> Int64 {
        try await database.write { [jobs] database in
            var text = text
            try text.insert(database)
            let id = text.id ?? 0
            try jobs.enqueue(CountWords(text: id), in: database)
            return id
        }
    }

    /// Says whether the words of a text are counted. It is found by the ID of the text, so no ID of a
    /// job is stored.
    public enum Status: Equatable, Sendable {
        case unknown
        case inProgress
        case counted(words: Int)
        case failed(reason: String)
    }

    /// Returns the status of the counting of a text.
    public func status(ofText id: Int64) async throws -> Status {
        guard let job = try await jobs.status(of: CountWords.self, uniqueKey: "text-\(id)") else {
            return .unknown
        }
        switch job.state {
        case .scheduled, .available, .running, .retryable: return .inProgress
        case .completed: return .counted(words: try job.output(as: Int.self) ?? 0)
        case .discarded, .cancelled: return .failed(reason: job.note ?? "\(job.state)")
        }
    }

    /// Waits for the running jobs, and closes everything.
    public func stop() async throws {
        worker.stop()
        try await working.value
        await jobs.stop()
        try database.close()
    }
}
