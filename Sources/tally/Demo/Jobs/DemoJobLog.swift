import GRDB
import NSQJobs
import UVLoop

/// Performs the jobs of the demo, and records each start.
final class DemoJobLog: Sendable {
    /// The start of an attempt.
    struct Start: Sendable {
        let number: Int
        let attempt: Int
        let time: JobTime
    }

    private struct State {
        var starts: [Start] = []
        var missingRows = 0
    }

    private let database: any DatabaseReader
    private let state = LockedValue(State())

    /// - Parameter database: the database with the rows that transactional jobs read.
    init(_ database: any DatabaseReader) {
        self.database = database
    }

    /// All starts, in order.
    var starts: [Start] { state.withLock { $0.starts } }

    /// The number of transactional jobs that did not find their row.
    var missingRows: Int { state.withLock { $0.missingRows } }

    /// Performs one attempt of a job.
    func perform(_ job: DemoJob, _ context: JobContext) async throws {
        let start = Start(number: job.number, attempt: context.attempt, time: .now)
        state.withLock { $0.starts.append(start) }
        switch job.kind {
        case .failsTwice where context.attempt < DemoJob.attempts:
            throw IntendedFailure(attempt: context.attempt)
        case .failsAlways: throw IntendedFailure(attempt: context.attempt)
        case .transactional:
            let hasRow = try await database.read { try DemoRows.has(job.number, $0) }
            if !hasRow { state.withLock { $0.missingRows += 1 } }
        default: break
        }
    }
}

/// A table as an application would have it. Transactions that write its rows also store jobs.
enum DemoRows {
    static func create(_ database: Database) throws {
        try database.execute(sql: "CREATE TABLE demo_row (number INTEGER NOT NULL PRIMARY KEY)")
    }

    static func insert(_ number: Int, _ database: Database) throws {
        try database.execute(sql: "INSERT INTO demo_row VALUES (?)", arguments: [number])
    }

    static func has(_ number: Int, _ database: Database) throws -> Bool {
        try Bool.fetchOne(
            database, sql: "SELECT 1 FROM demo_row WHERE number = ?", arguments: [number]) ?? false
    }
}
