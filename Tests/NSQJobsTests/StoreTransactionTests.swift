import Foundation
import GRDB
import NSQJobs
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The store in a file` {
    let folder: TemporaryFolder
    let now = JobTime(microseconds: 1)

    init() throws { folder = try TemporaryFolder() }

    @Test func `leaves nothing of refused jobs if the application commits after the error`()
        async throws
    {
        let pool = try synced()
        let store = try SQLiteJobStore(in: pool, requiresSync: true)
        var second = NewJob(name: "second")
        second.dependencies = JobDependencies([JobID(99)], onFailure: .cancel)
        let jobs = [NewJob(name: "first"), second]
        try await pool.write { database in
            _ = #expect(throws: JobsError.self) {
                try store.enqueue(jobs, in: database, at: now)
            }
        }
        #expect(try await store.jobs(matching: JobQuery()).jobs.isEmpty)
        #expect(try await store.counts().allSatisfy { $0.total == 0 })
    }

    @Test func `stores jobs with the transaction of the application, or not at all`()
        async throws
    {
        let pool = try synced()
        let store = try SQLiteJobStore(in: pool, requiresSync: true)
        try await pool.write { database in
            try database.execute(sql: "CREATE TABLE user (name TEXT)")
            try database.execute(sql: "INSERT INTO user VALUES ('Ada')")
            _ = try store.enqueue([NewJob(name: "welcome")], in: database, at: now)
        }
        struct RolledBack: Error {}
        await #expect(throws: RolledBack.self) {
            try await pool.write { database in
                try database.execute(sql: "INSERT INTO user VALUES ('Bob')")
                _ = try store.enqueue(
                    [NewJob(name: "welcome", options: JobOptions(queue: "new"))], in: database,
                    at: now)
                throw RolledBack()
            }
        }
        let counts = try await store.counts()
        #expect(counts.map(\.queue) == ["default"] && counts[0][.available] == 1)
        #expect(try await pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM user") } == 1)
        let next = try await store.enqueue([NewJob(name: "n")], publishing: nil, at: now)
        #expect(next.receipts[0].id == JobID(2))
        let view = try await pool.read {
            try String.fetchAll(
                $0, sql: "SELECT queue || ' ' || name || ' ' || state FROM nsq_jobs_list")
        }
        #expect(view == ["default welcome available", "default n available"])
    }

    @Test func `refuses a database that does not sync its commits`() throws {
        let pool = try DatabasePool(path: folder.path("app.sqlite"))
        let error = #expect(throws: JobsError.self) {
            try SQLiteJobStore(in: pool, requiresSync: true)
        }
        #expect(error?.code == .storeUnusable)
        #expect(error?.reason.contains("PRAGMA synchronous = FULL") == true)
    }

    @Test func `refuses tables of a newer version`() async throws {
        let path = folder.path("jobs.sqlite")
        try await SQLiteJobStore(path: path).close()
        let queue = try DatabaseQueue(path: path)
        try await queue.write {
            try $0.execute(sql: "UPDATE nsq_jobs_meta SET schema_version = 99")
        }
        let error = #expect(throws: JobsError.self) { try SQLiteJobStore(path: path) }
        #expect(error?.reason.contains("newer version") == true)
    }

    @Test func `names the path that it cannot open`() throws {
        let path = folder.path("missing/jobs.sqlite")
        let error = #expect(throws: JobsError.self) { try SQLiteJobStore(path: path) }
        #expect(error?.code == .storeUnusable && error?.reason.contains(path) == true)
    }

    @Test func `keeps committed jobs when it is opened again`() async throws {
        let path = folder.path("jobs.sqlite")
        let store = try SQLiteJobStore(path: path)
        _ = try await store.enqueue([NewJob(name: "n")], publishing: nil, at: now)
        try await store.close()
        let again = try SQLiteJobStore(path: path)
        #expect(try await again.job(JobID(1))?.name == "n")
        try await again.close()
    }

    @Test func `commits the changes of many tasks, of two objects, without loss`() async throws {
        let path = folder.path("jobs.sqlite")
        let stores = [try SQLiteJobStore(path: path), try SQLiteJobStore(path: path)]
        let now = now
        try await withThrowingTaskGroup { group in
            for index in 0..<200 {
                group.addTask {
                    _ = try await stores[index % 2].enqueue(
                        [NewJob(name: "n")], publishing: nil, at: now)
                }
                // A change that fails does not affect the others of its transaction.
                group.addTask {
                    await #expect(throws: JobsError.self) {
                        try await stores[index % 2].change(JobID(5_000), .cancel, at: now)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await stores[0].counts()[0][.available] == 200)
        let page = try await stores[1].jobs(matching: JobQuery(limit: 1_000))
        #expect(page.jobs.map(\.id) == (Int64(1)...200).reversed().map { JobID($0) })
        for store in stores { try await store.close() }
    }

    @Test func `leaves nothing of a change that fails after its first row`() async throws {
        let pool = try synced()
        let store = try SQLiteJobStore(in: pool, requiresSync: true)
        let now = now
        // Holds the writer, so that the changes are in one transaction.
        let isHeld = DispatchSemaphore(value: 0)
        pool.asyncWriteWithoutTransaction { _ in isHeld.wait() }
        let failing = [
            NewJob(name: "n", options: JobOptions(queue: "failed")),
            NewJob(name: "n", dependencies: JobDependencies([JobID(99)])),
        ]
        async let before = store.enqueue([NewJob(name: "n")], publishing: nil, at: now)
        async let failed = store.enqueue(failing, publishing: nil, at: now)
        async let after = store.enqueue(
            [NewJob(name: "n", options: JobOptions(queue: "other"))], publishing: nil, at: now)
        isHeld.signal()
        #expect(try await before.receipts.count + after.receipts.count == 2)
        do {
            _ = try await failed
            Issue.record("the enqueue did not fail")
        } catch {
            #expect((error as? JobsError)?.code == .unknownJob)
        }
        let counts = try await store.counts()
        #expect(counts.map(\.queue) == ["default", "other"])
        #expect(counts.map { $0[.available] } == [1, 1])
        #expect(try await store.jobs(matching: JobQuery()).jobs.count == 2)
    }

    @Test func `refuses changes beyond the maximum that wait`() async throws {
        let pool = try synced()
        let store = try SQLiteJobStore(in: pool, requiresSync: true, maxWaiting: 3)
        let now = now
        // Holds the writer, so that all changes wait.
        let isHeld = DispatchSemaphore(value: 0)
        let refused = Recorder()
        pool.asyncWriteWithoutTransaction { _ in isHeld.wait() }
        let results = await withTaskGroup { group in
            for _ in 0..<5 {
                group.addTask {
                    do throws(JobsError) {
                        _ = try await store.enqueue([NewJob(name: "n")], publishing: nil, at: now)
                        return true
                    } catch {
                        #expect(error.isRetriable)
                        refused.record(1)
                        if refused.all.count == 2 { isHeld.signal() }
                        return false
                    }
                }
            }
            return await group.reduce(into: [Bool]()) { $0.append($1) }
        }
        #expect(results.count { $0 } == 3)
    }

    private func synced() throws -> DatabasePool {
        let pool = try DatabasePool(path: folder.path("app.sqlite"))
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        return pool
    }
}
