import ArgumentParser
import Foundation
import Logging
import NSQClient
import NSQJobs
import TallyBasics
import TallyJSON
import UVLoop

/// `tally jobs enqueue`: stores a job, or one for each line of a file.
struct EnqueueJobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enqueue",
        abstract: "Stores a job, or one for each line of a file.",
        discussion: """
            When the command ends with status 0, the jobs are committed. A process with a relay \
            of the same store publishes them, such as tally jobs serve: within its \
            --sweep-interval, 100 ms by default.

            With --fleeting, the job is a message of nsqd and is not stored. When the command ends \
            with status 0, nsqd has accepted it.
            """
                + HelpText.examples(
                    #"""
                    tally jobs enqueue report --args='{"user":7}' --queue=low
                    tally jobs enqueue report --args='{"user":8}' --in=10m --priority=high
                    tally jobs enqueue sync --unique=user-7 --max-attempts=3 --tag=nightly
                    seq 3 | tally jobs enqueue count --args-file=-
                    tally jobs enqueue sum --after=1 --after=2 --on-failure=run
                    tally nsqd --memory-only & sleep 1
                    tally jobs enqueue ping --fleeting
                    kill $!
                    """#))

    @Argument(help: "The name of the job, which tells a worker what to do.")
    var name: String

    @Option(help: "The arguments as JSON. Default: {}.")
    var args: String?

    @Option(
        help: ArgumentHelp(
            "Store one job for each line of this file, which is JSON; - for standard input.",
            valueName: "file"))
    var argsFile: String?

    @OptionGroup var due: DueOptions

    @Option(
        name: .customLong("after"),
        help: "The ID of a job that must end before the new job runs; repeatable, up to 100.")
    var dependencies: [JobID] = []

    @Option(
        help: """
            What happens if one of the --after jobs is discarded or cancelled: cancel the new job, \
            run it in any case, or let it wait for a retry.
            """)
    var onFailure = JobDependencies.FailurePolicy.cancel

    @Option(help: "The batch to which the job belongs; see tally jobs batch.")
    var batch: JobBatchID?

    @Flag(help: "Publish the job to nsqd without storing it.")
    var fleeting = false

    @Option(
        name: .customLong("nsqd-tcp-address"),
        help: "The address of the nsqd of a fleeting job, as HOST:PORT. Default: 127.0.0.1:4150.")
    var nsqd: SocketAddress?

    @OptionGroup var settings: JobSettings

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        guard args == nil || argsFile == nil else {
            throw ValidationError("--args and --args-file cannot be combined")
        }
        guard argsFile == nil || settings.unique == nil else {
            throw ValidationError("--args-file and --unique cannot be combined")
        }
        guard fleeting || nsqd == nil else {
            throw ValidationError("--nsqd-tcp-address needs --fleeting")
        }
        guard !fleeting || settings.tags.isEmpty else {
            throw ValidationError("--fleeting and --tag cannot be combined")
        }
    }

    func run() async throws {
        try await withJobs { jobs in
            if let argsFile { return try await enqueueLines(of: argsFile, jobs) }
            let receipt = try await jobs.enqueue(job(arguments: args ?? "{}"))
            options.print(json: JobJSON.receipt(receipt), text: text(of: receipt))
        }
    }

    private func withJobs(_ body: (Jobs) async throws -> Void) async throws {
        guard fleeting else { return try await options.withJobs(creates: true, body) }
        var configuration = Jobs.Configuration()
        configuration.logger.logLevel = .critical
        configuration.producer.client = ClientOptions(ofCommand: "jobs")
        let nsqd = nsqd ?? SocketAddress(host: "127.0.0.1", port: 4150)
        // A fleeting job is only published, so the store in memory stays empty.
        let jobs = try await Jobs(
            store: .memory, nsqd: nsqd.description, configuration: configuration)
        do {
            try await body(jobs)
        } catch {
            await jobs.stop()
            throw error
        }
        await jobs.stop()
    }

    private func job(arguments: String) -> NewJob {
        var job = settings.job(name, arguments: arguments, dueAt: due.dueAt(.now))
        if fleeting { job.options.grade = .fleeting }
        let variables = ProcessInfo.processInfo.environment
        job.traceContext = TraceContext.w3c(
            parent: variables["TRACEPARENT"], state: variables["TRACESTATE"])
        if !dependencies.isEmpty {
            job.dependencies = JobDependencies(dependencies, onFailure: onFailure)
        }
        job.batch = batch
        return job
    }

    private func text(of receipt: EnqueueReceipt) -> String {
        receipt.kind == .existing
            ? "job \(receipt.id) has the same unique key; nothing is stored"
            : "\(verb) job \(receipt.id) in queue '\(settings.queue)'"
    }

    private var verb: String { fleeting ? "published" : "stored" }

    /// The maximum number of jobs in one transaction.
    private static let maxBatchCount = 1_000

    private func enqueueLines(of path: String, _ jobs: Jobs) async throws {
        var reader = try JobArgumentLines(path: path)
        var count = 0
        while true {
            var batch: [NewJob] = []
            while batch.count < Self.maxBatchCount, let line = try reader.next() {
                batch.append(job(arguments: line))
            }
            guard !batch.isEmpty else { break }
            do {
                count += try await jobs.enqueue(contentsOf: batch).count
            } catch {
                throw UsageError("\(error) (\(counted(count, "job")) of '\(path)' are \(verb))")
            }
        }
        options.print(
            json: JSONWriter.object { $0.member(verb, count) },
            text: "\(verb) \(counted(count, "job")) in queue '\(settings.queue)'")
    }
}
