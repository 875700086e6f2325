import Foundation
import GRDB

extension JobTransaction {
    /// Stores a schedule. If its expression and time zone do not change, its next tick stays the same,
    /// so that a program can store its schedules at each start.
    func store(_ schedule: CronSchedule, at now: JobTime) throws {
        let expression = schedule.expression
        let next = expression.next(after: now)?.microseconds
        try database.execute(
            sql: """
                INSERT INTO nsq_jobs_cron (name, expression, time_zone, missed, next_at, job)
                VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET
                    next_at = CASE
                        WHEN expression = excluded.expression AND time_zone = excluded.time_zone
                        THEN next_at ELSE excluded.next_at END,
                    expression = excluded.expression, time_zone = excluded.time_zone,
                    missed = excluded.missed, job = excluded.job
                """,
            arguments: [
                schedule.name, expression.text, expression.timeZone.identifier,
                schedule.missed.rawValue, next,
                String(
                    decoding: try JobCoding.encoder.encode(JobTemplate(schedule.job)),
                    as: UTF8.self),
            ])
    }

    /// Deletes a schedule.
    ///
    /// - Returns: `false` if there is none with this name.
    func removeSchedule(_ name: String) throws -> Bool {
        try database.execute(
            sql: "DELETE FROM nsq_jobs_cron WHERE name = ?", arguments: [name])
        return database.changesCount > 0
    }

    /// Enqueues the jobs of the ticks that are due. The change of the next tick is in the same transaction,
    /// so each tick is handled once over all processes.
    ///
    /// - Parameter limit: the maximum number of ticks of each schedule.
    /// - Returns: `true` if there can be more.
    func enqueueDueTicks(limit: Int, at now: JobTime) throws -> Bool {
        var hasMore = false
        let due = try JobReader(database: database).schedules(
            "WHERE next_at <= ? ORDER BY next_at LIMIT ?", [now.microseconds, limit])
        for stored in due {
            guard let schedule = stored.schedule, let tick = schedule.nextTick else {
                // The schedule has no ticks until a program that can read it stores it again.
                try setNextTick(nil, of: stored.name)
                continue
            }
            let (ticks, next) = schedule.dueTicks(from: tick, to: now, limit: limit)
            let jobs = ticks.map { tick in
                var job = schedule.job
                job.dueAt = tick
                return job
            }
            _ = try enqueue(jobs, publishing: nil, at: now)
            try setNextTick(next, of: stored.name)
            hasMore = hasMore || next.map { $0 <= now } ?? false
        }
        return hasMore || due.count == limit
    }

    private func setNextTick(_ tick: JobTime?, of name: String) throws {
        try database.execute(
            sql: "UPDATE nsq_jobs_cron SET next_at = ? WHERE name = ?",
            arguments: [tick?.microseconds, name])
    }
}

extension JobReader {
    /// A row of a schedule.
    struct StoredSchedule {
        let name: String
        /// `nil` if this program cannot read the schedule, for example because its time zone is
        /// unknown.
        let schedule: CronSchedule?
    }

    /// Returns the schedules that an SQL condition selects.
    func schedules(
        _ condition: String, _ arguments: StatementArguments
    ) throws -> [StoredSchedule] {
        let select = try database.cachedStatement(
            sql: """
                SELECT name, expression, time_zone, missed, next_at, job FROM nsq_jobs_cron \(condition)
                """)
        return try Row.fetchAll(select, arguments: arguments).map { row in
            StoredSchedule(name: row[0], schedule: try? schedule(row))
        }
    }

    private func schedule(_ row: Row) throws -> CronSchedule? {
        let template = try JobCoding.decoder.decode(
            JobTemplate.self, from: Data((row[5] as String).utf8))
        guard let zone = TimeZone(identifier: row[2]) else { return nil }
        var schedule = CronSchedule(
            name: row[0], try CronExpression(row[1], timeZone: zone),
            missed: MissedTicks(rawValue: row[3]) ?? .latest, job: template.job(dueAt: nil))
        schedule.nextTick = (row[4] as Int64?).map { JobTime($0) }
        return schedule
    }

    /// The time of the earliest tick.
    func nextTick() throws -> JobTime? {
        try Int64.fetchOne(
            database,
            sql: """
                SELECT next_at FROM nsq_jobs_cron WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1
                """
        ).map { JobTime($0) }
    }
}
