import Foundation
import Logging
import NSQClient
import NSQJobs

/// A worker in a process of its own, which tests kill.
///
/// Usage: `job-worker STORE NSQD OUTPUT LEASE`. The lease is in milliseconds. Each job appends a line
/// with its number and its attempt to the file OUTPUT, in one system call.
@main struct JobWorkerProgram {
    struct Append: Job {
        var number: Int

        func perform(_ context: JobContext) async throws {}
    }

    /// Occupies a thread of the shared pool for some time.
    struct Spin: Job {
        var milliseconds: Int

        func perform(_ context: JobContext) async throws {
            let end = ContinuousClock.now + .milliseconds(milliseconds)
            while ContinuousClock.now < end {}
        }
    }

    static func main() async throws {
        let arguments = CommandLine.arguments
        let output = open(arguments[3], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        precondition(output >= 0, "the output file can be opened")
        var configuration = Jobs.Configuration()
        configuration.sweepInterval = .milliseconds(50)
        configuration.republishDelay = .milliseconds(300)
        configuration.producer.client.maxReconnectDelay = .milliseconds(200)
        configuration.logger.logLevel = .critical
        let jobs = try await Jobs(
            store: .sqlite(arguments[1]), nsqd: arguments[2], configuration: configuration)
        var options = JobWorker.Options(concurrency: 4)
        options.lease = .milliseconds(Int(arguments[4]) ?? 800)
        let worker = jobs.worker(options) {
            $0.register(Spin.self)
            $0.register(Append.self) { job, context in
                let line = "\(job.number) \(context.attempt)\n"
                _ = line.withCString { write(output, $0, strlen($0)) }
                try await Task.sleep(for: .milliseconds(job.number % 8))
            }
        }
        try await worker.run()
    }
}
