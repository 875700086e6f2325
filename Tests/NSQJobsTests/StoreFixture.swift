import GRDB
import NSQJobs
import TallyBasics
import Testing
import UVLoop

/// A lease clock that the test advances.
final class ManualLeaseClock: Sendable {
    private let nanoseconds = LockedValue<Int64>(1_000_000_000)

    func advance(by duration: Duration) {
        nanoseconds.withLock { $0 += duration.nanoseconds }
    }

    var now: MonotonicInstant {
        MonotonicInstant(nanoseconds: nanoseconds.withLock { $0 })
    }

    func clock(bootID: String = "boot-1") -> LeaseClock {
        LeaseClock(bootID: bootID) { [nanoseconds] in
            MonotonicInstant(nanoseconds: nanoseconds.withLock { $0 })
        }
    }
}

/// Processes whose ends the test decides.
final class ManualProcessTable: Sendable {
    private struct State {
        var own: String? = "p1"
        var ended: Set<String> = []
    }

    private let state = LockedValue(State())

    /// The process of the workers that are registered next; `nil` if it cannot be identified.
    var own: String? {
        get { state.withLock { $0.own } }
        set { state.withLock { $0.own = newValue } }
    }

    func end(_ process: String) { state.withLock { _ = $0.ended.insert(process) } }

    var table: ProcessLiveness {
        ProcessLiveness { [state] in
            state.withLock { $0.own }
        } hasEnded: { [state] process in
            state.withLock { $0.ended.contains(process) }
        }
    }
}

/// A store in memory with a worker.
struct StoreFixture {
    let store: SQLiteJobStore
    let leases = ManualLeaseClock()
    let processes = ManualProcessTable()
    let worker: Int64
    let start = JobTime(microseconds: 1_700_000_000_000_000)
    let lease = Duration.seconds(30)

    init() async throws {
        store = try SQLiteJobStore(inMemory: leases.clock(), processes: processes.table)
        worker = try await store.registerWorker(
            NewWorker(name: "w1", queues: ["default"], concurrency: 4), at: start)
    }

    func enqueue(_ jobs: NewJob...) async throws -> [EnqueueReceipt] {
        try await store.enqueue(jobs, publishing: nil, at: start).receipts
    }

    /// Enqueues a job and claims it.
    func running(_ job: NewJob = NewJob(name: "n")) async throws -> JobRecord {
        let id = try await enqueue(job)[0].id
        return try await claim(id)
    }

    func claim(_ id: JobID, at time: JobTime? = nil) async throws -> JobRecord {
        let version = try #require(try await store.job(id)).version
        let results = try await store.claim(
            [JobReference(id: id, version: version)], worker: worker, lease: lease,
            at: time ?? start
        ).results
        guard case .claimed(let job) = results[0] else { throw NotClaimed(result: results[0]) }
        return job
    }

    func settle(_ job: JobRecord, _ outcome: JobOutcome, at time: JobTime? = nil) async throws
        -> Bool
    {
        try await store.settle([Settlement(job.claim!, outcome)], at: time ?? start).isHeld[0]
    }

    /// The counters of the only queue, as `state: count` without zeros.
    func counts(_ queue: String = "default") async throws -> [JobState: Int] {
        let counts = try await store.counts().first { $0.queue == queue }
        return Dictionary(
            uniqueKeysWithValues: JobState.allCases.map { ($0, counts?[$0] ?? 0) }
                .filter { $0.1 != 0 })
    }

    struct NotClaimed: Error { let result: ClaimResult }
}
