import Foundation
import GRDB
import NSQJobs
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `A schedule` {
    let start = JobTime(microseconds: 1_704_067_200_000_000)

    @Test func `makes up for no missed tick, the latest, or all`() throws {
        let last = start + .seconds(3_600 * 5 + 90)
        func ticks(_ missed: MissedTicks, limit: Int = 100) throws -> [Int] {
            let due = try hourly(missed).dueTicks(from: start, to: last, limit: limit)
            #expect(limit < 100 || due.next == start + .seconds(3_600 * 6))
            return due.ticks.map { Int(($0 - start) / .seconds(3_600)) }
        }
        #expect(try ticks(.skip) == [])
        #expect(try ticks(.latest) == [5])
        #expect(try ticks(.all) == [0, 1, 2, 3, 4, 5])
        #expect(try ticks(.all, limit: 2) == [0, 1])
        let late = try hourly(.skip).dueTicks(from: start, to: start + .seconds(59), limit: 9)
        #expect(late.ticks == [start])
    }

    @Test func `finds the latest of very many missed ticks quickly`() throws {
        var schedule = try hourly(.latest)
        schedule.expression = try CronExpression("* * * * *")
        let now = start + .seconds(10 * 365 * 86_400 + 30)
        let due = schedule.dueTicks(from: start, to: now, limit: 1_000)
        #expect(due.ticks == [now + .seconds(-30)] && due.next == now + .seconds(30))
    }

    @Test func `enqueues each tick once, whoever sweeps`() async throws {
        let folder = try TemporaryFolder()
        let stores = try (0..<2).map { _ in try SQLiteJobStore(path: folder.path("jobs.sqlite")) }
        try await stores[0].store(try hourly(.latest), at: start)
        let start = start
        for hour in 1...10 {
            let now = start + .seconds(3_600 * hour)
            await withTaskGroup { group in
                for store in stores + stores {
                    group.addTask {
                        _ = try? await store.sweep(limit: 10, policy: PublishPolicy(), at: now)
                    }
                }
            }
        }
        let page = try await stores[1].jobs(matching: JobQuery(limit: 100))
        #expect(page.jobs.map(\.dueAt) == (1...10).reversed().map { start + .seconds(3_600 * $0) })
        for store in stores { try await store.close() }
    }

    @Test func `keeps its next tick when it is stored again with the same times`() async throws {
        let fixture = try await StoreFixture()
        let store = fixture.store
        try await store.store(try hourly(.all), at: start)
        let next = start + .seconds(3_600)
        #expect(try await store.schedules().map(\.nextTick) == [next])
        let later = start + .seconds(3 * 3_600 + 1)
        try await store.store(try hourly(.all), at: later)
        #expect(try await store.schedules().map(\.nextTick) == [next])
        var changed = try hourly(.all)
        changed.expression = try CronExpression("30 * * * *")
        try await store.store(changed, at: later)
        #expect(try await store.schedules().map(\.nextTick) == [later + .seconds(30 * 60 - 1)])
        #expect(try await store.removeSchedule("hourly"))
        #expect(try await store.removeSchedule("hourly") == false)
    }

    @Test func `does not stop the others if it cannot be read`() async throws {
        let queue = try DatabaseQueue()
        let store = try SQLiteJobStore(in: queue, requiresSync: false)
        try await store.store(try hourly(.latest), at: start)
        var other = try hourly(.latest)
        other.name = "other"
        try await store.store(other, at: start)
        try await queue.write {
            try $0.execute(
                sql: "UPDATE nsq_jobs_cron SET time_zone = 'Mars/Olympus' WHERE name = 'other'")
        }
        let now = start + .seconds(3_600)
        let sweep = try await store.sweep(limit: 10, policy: PublishPolicy(), at: now)
        #expect(sweep.publications.count == 1)
        // The failed schedule does not make the relay sweep again at once.
        #expect(sweep.nextDue == now + .seconds(3_600))
        #expect(try await store.schedules().map(\.name) == ["hourly"])
    }

    @Test func `keeps all settings of its job`() async throws {
        let jobs = try await Jobs.manual()
        var options = JobOptions(
            queue: "q", maxAttempts: 3, priority: .low, tags: ["t"], timeout: .seconds(7))
        options.retry.jitter = 0.5
        options.uniqueness = JobUniqueness(
            states: [.running], window: .seconds(60), conflict: .replaceWaiting)
        let job = NewJob(name: "n", arguments: "[1]", options: options, uniqueKey: "k")
        let expression = try CronExpression(
            "0 3 * * *", timeZone: try #require(TimeZone(identifier: "Europe/Berlin")))
        try await jobs.schedule(CronSchedule(name: "s", expression, missed: .all, job: job))
        let stored = try await jobs.schedules()
        #expect(stored.count == 1 && stored[0].job == job && stored[0].expression == expression)
        #expect(stored[0].missed == .all && stored[0].name == "s")
        await #expect(throws: JobsError.self) {
            try await jobs.schedule(CronSchedule(name: "", expression, job: job))
        }
        await jobs.stop()
    }

    @Test func `skips a tick while its unique job has not ended`() async throws {
        let fixture = try await StoreFixture()
        var schedule = try hourly(.latest)
        schedule.job.uniqueKey = "k"
        try await fixture.store.store(schedule, at: start)
        for hour in 1...3 {
            _ = try await fixture.store.enqueueDueTicks(
                limit: 10, at: start + .seconds(3_600 * hour))
        }
        #expect(try await fixture.counts() == [.available: 1])
    }

    @Test func `runs its job when a test lets time pass`() async throws {
        let time = LockedValue(start)
        let jobs = try await Jobs.manual(store: .memory, clock: JobClock { time.withLock { $0 } })
        let expression = try CronExpression("@daily")
        try await jobs.schedule(
            try CronSchedule(name: "daily", expression, job: Numbered(number: 1)))
        #expect(try await jobs.drain { $0.register(Numbered.self) }.isEmpty)
        time.withLock { $0 = $0 + .seconds(86_400) }
        #expect(try await jobs.drain { $0.register(Numbered.self) }.count == 1)
        await jobs.stop()
    }

    private func hourly(_ missed: MissedTicks) throws -> CronSchedule {
        CronSchedule(
            name: "hourly", try CronExpression("0 * * * *"), missed: missed,
            job: NewJob(name: "n"))
    }
}
