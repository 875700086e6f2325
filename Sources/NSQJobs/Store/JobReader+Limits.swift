import GRDB
import TallyBasics

extension JobReader {
    /// A stored limit.
    struct StoredLimit {
        let queue: Int64
        let isPerKey: Bool
        let limit: JobLimit
    }

    /// The position up to which the waiting jobs of a queue were checked after a change of its limit.
    struct LimitCheck {
        let queue: Int64
        let hold: Int
        let priority: Int
        let id: Int64
    }

    func limits() throws -> [StoredLimit] {
        let select = try database.cachedStatement(
            sql: """
                SELECT queue_id, is_per_key, max_running, max_starts, window FROM nsq_jobs_limit
                """)
        return try Row.fetchAll(select).map { row in
            // A number out of its range, which another program has written, becomes the nearest allowed
            // number.
            func number(_ index: Int) -> Int? {
                (row[index] as Int?).map { min(max($0, 1), JobLimit.maxCount) }
            }
            var limit = JobLimit(maxRunning: number(2))
            if let starts = number(3), let window = row[4] as Int64? {
                limit.rate = .init(starts, per: .microseconds(max(1, window)))
            }
            return StoredLimit(queue: row[0], isPerKey: row[1], limit: limit)
        }
    }

    func limitChecks() throws -> [LimitCheck] {
        let select = try database.cachedStatement(
            sql: "SELECT queue_id, hold, priority, job_id FROM nsq_jobs_limit_check")
        return try Row.fetchAll(select).map {
            LimitCheck(queue: $0[0], hold: $0[1], priority: $0[2], id: $0[3])
        }
    }

    /// The earliest time at which a slot of a limit is free for a waiting job.
    func nextLimitWakeUp() throws -> JobTime? {
        let select = try database.cachedStatement(
            sql: "SELECT wake_at FROM nsq_jobs_limit_wake_up ORDER BY wake_at LIMIT 1")
        return try Int64.fetchOne(select).map { JobTime($0) }
    }
}
