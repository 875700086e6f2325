import Foundation
import Logging
import NSQJobs
import NSQTesting
import TestKit
import UVLoop

/// The values that jobs of a test have recorded, in order.
final class Recorder: Sendable {
    private let values = LockedValue<[Int]>([])

    func record(_ value: Int) { values.withLock { $0.append(value) } }

    var all: [Int] { values.withLock { $0 } }
}

/// Jobs wait at a gate until the test opens it.
final class Gate: Sendable {
    private let stream: AsyncStream<Void>
    private let opener: AsyncStream<Void>.Continuation

    init() { (stream, opener) = AsyncStream.makeStream() }

    func wait() async { for await _ in stream {} }

    func open() { opener.finish() }
}

/// A job with a number and the behaviour that the test has registered.
struct Numbered: Job {
    static let options = JobOptions(
        maxAttempts: 3,
        retry: JobRetryPolicy(firstDelay: .milliseconds(5), maxDelay: .milliseconds(20)))
    var number: Int

    func perform(_ context: JobContext) async throws {}
}

/// A job that fails to be decoded as ``Numbered``, which has the same arguments but another name.
struct Unregistered: Job {
    var number: Int

    func perform(_ context: JobContext) async throws {}
}

/// Waits until a condition holds.
func eventually(
    _ description: String, _ condition: () async throws -> Bool
) async throws {
    let deadline = Date(timeIntervalSinceNow: longestWait)
    while try await !condition() {
        guard Date() < deadline else { throw NeverHeld(condition: description) }
        try await Task.sleep(for: .milliseconds(1))
    }
}

struct NeverHeld: Error { let condition: String }

extension Jobs {
    /// Waits until a job is in a state.
    func wait(for id: JobID, _ state: JobState) async throws -> JobRecord {
        var job: JobRecord?
        try await eventually("job \(id) is \(state)") {
            job = try await status(of: id)
            return job?.state == state
        }
        return job!
    }

    /// Waits until the jobs of the queue have ended, and returns the number in each final state.
    func waitUntilEnded(_ queue: String = "default") async throws -> QueueCounts {
        var counts: QueueCounts?
        try await eventually("all jobs have ended") {
            counts = try await self.counts().first { $0.queue == queue }
            return counts?.unfinished == 0
        }
        return counts!
    }
}

/// Runs a test with a broker and with jobs in a file, whose delays are short.
func withJobs(
    path: String? = nil, store: Jobs.Store? = nil,
    configure: (inout Jobs.Configuration) -> Void = { _ in },
    _ body: (Jobs, TestBroker) async throws -> Void
) async throws {
    let folder = try TemporaryFolder()
    try await withBroker { broker in
        var configuration = Jobs.Configuration()
        configuration.sweepInterval = .milliseconds(50)
        // On a slow machine, a shorter delay would pass between two steps of a test.
        configuration.republishDelay = .seconds(3_600)
        configuration.logger.logLevel = .critical
        configure(&configuration)
        let jobs = try await Jobs(
            store: store ?? .sqlite(path ?? folder.path("jobs.sqlite")), nsqd: broker.tcpAddress,
            configuration: configuration)
        do {
            try await body(jobs, broker)
        } catch {
            await jobs.stop()
            throw error
        }
        await jobs.stop()
    }
}

/// Runs a worker while `body` runs, and stops it then.
func withWorker(
    _ worker: JobWorker, _ body: () async throws -> Void
) async throws {
    let run = Task { try await worker.run() }
    do {
        try await body()
    } catch {
        run.cancel()
        _ = try? await run.value
        throw error
    }
    worker.stop()
    try await run.value
}

/// Appends the level, the job and the text of each line to a list.
struct ListLog: LogHandler {
    let lines: LockedValue<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let job = metadata["job"].map { "\($0)" } ?? "-"
        lines.withLock { $0.append("\(event.level) \(job): \(event.message)") }
    }
}
