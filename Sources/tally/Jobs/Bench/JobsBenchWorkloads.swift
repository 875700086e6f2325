import NSQJobs
import Synchronization

/// A job of `tally jobs bench`, which does nothing.
struct BenchJob: Job {
    static let name = "tally.bench"

    var number: Int

    func perform(_ context: JobContext) async throws {}
}

/// The workloads of `tally jobs bench`. Each workload has a queue of its own.
struct JobsBenchWorkloads {
    let jobs: Jobs
    /// The number of jobs of a workload.
    let count: Int
    /// The number of single jobs whose start is measured.
    let singleCount: Int
    let concurrency: Int

    private static let enqueueCount = 5_000
    private static let pollInterval = Duration.milliseconds(5)
    private let clock = ContinuousClock()

    init(jobs: Jobs, count: Int, singleCount: Int, concurrency: Int) {
        self.jobs = jobs
        self.count = count
        self.singleCount = singleCount
        self.concurrency = concurrency
    }

    /// Runs every workload once and appends the results.
    func runAll(_ results: inout JobsBenchResults) async throws {
        try await measureTracked(&results)
        try await measureFleeting(&results)
        try await measureStarts(&results)
    }

    // MARK: Rates

    /// Stores jobs, and performs them afterwards.
    private func measureTracked(_ results: inout JobsBenchResults) async throws {
        let options = JobOptions(queue: "bench-tracked")
        let begin = clock.now
        try await enqueue(options)
        let stored = clock.now
        results.enqueue.append(rate(stored - begin))
        let worker = jobs.worker(queues: [options.queue], concurrency: concurrency) {
            $0.register(BenchJob.self)
        }
        let begun = clock.now
        try await run(worker) {
            while try await unfinishedCount(of: options.queue) > 0 {
                try await Task.sleep(for: Self.pollInterval)
            }
        }
        results.perform.append(rate(clock.now - begun))
    }

    /// Publishes fleeting jobs, and performs them afterwards.
    private func measureFleeting(_ results: inout JobsBenchResults) async throws {
        let options = JobOptions(queue: "bench-fleeting", grade: .fleeting)
        let begin = clock.now
        try await enqueue(options)
        results.enqueueFleeting.append(rate(clock.now - begin))
        let counter = PerformedJobs()
        let worker = jobs.worker(queues: [options.queue], concurrency: concurrency) {
            $0.register(BenchJob.self) { _, _ in counter.add() }
        }
        let begun = clock.now
        try await run(worker) {
            while counter.value < count { try await Task.sleep(for: Self.pollInterval) }
        }
        results.performFleeting.append(rate(clock.now - begun))
    }

    private func enqueue(_ options: JobOptions) async throws {
        for first in stride(from: 0, to: count, by: Self.enqueueCount) {
            try Task.checkCancellation()
            let numbers = first..<min(first + Self.enqueueCount, count)
            try await jobs.enqueue(
                contentsOf: numbers.map { BenchJob(number: $0) }, options: options)
        }
    }

    private func unfinishedCount(of queue: String) async throws -> Int {
        try await jobs.counts().first { $0.queue == queue }?.unfinished ?? 0
    }

    /// Runs a worker during `body`.
    private func run(_ worker: JobWorker, during body: () async throws -> Void) async throws {
        let running = Task { try await worker.run() }
        do {
            try await body()
        } catch {
            running.cancel()
            _ = await running.result
            throw error
        }
        worker.stop()
        try await running.value
    }

    private func rate(_ duration: Duration) -> Double { Double(count) / (duration / .seconds(1)) }

    // MARK: Latency

    /// Measures the time from the beginning of an enqueue until the job starts.
    private func measureStarts(_ results: inout JobsBenchResults) async throws {
        let options = JobOptions(queue: "bench-single")
        let (starts, continuation) = AsyncStream.makeStream(of: ContinuousClock.Instant.self)
        let worker = jobs.worker(queues: [options.queue], concurrency: concurrency) {
            $0.register(BenchJob.self) { _, _ in continuation.yield(.now) }
        }
        var durations: [Duration] = []
        try await run(worker) {
            var iterator = starts.makeAsyncIterator()
            // The first job is not measured, because it waits until the worker has connected.
            for number in 0...singleCount {
                let begin = clock.now
                try await jobs.enqueue(BenchJob(number: number), options: options)
                guard let start = await iterator.next() else { throw CancellationError() }
                if number > 0 { durations.append(start - begin) }
            }
        }
        results.appendStarts(durations)
    }
}

/// Counts the performed jobs of a workload.
private final class PerformedJobs: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .relaxed) }

    func add() { count.add(1, ordering: .relaxed) }
}
