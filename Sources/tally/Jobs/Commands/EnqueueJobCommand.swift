import ArgumentParser
import NSQJobs
import TallyBasics

/// `tally jobs enqueue`: stores a job, or one for each line of a file.
struct EnqueueJobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enqueue",
        abstract: "Stores a job, or one for each line of a file.",
        discussion: """
            When the command ends with status 0, the jobs are committed. A process with a relay \
            of the same store publishes them, such as tally jobs serve: within its \
            --sweep-interval, 100 ms by default.
            """
                + HelpText.examples(
                    #"""
                    tally jobs enqueue report --args='{"user":7}' --queue=low
                    tally jobs enqueue report --args='{"user":8}' --in=10m --priority=high
                    tally jobs enqueue sync --unique=user-7 --max-attempts=3 --tag=nightly
                    seq 3 | tally jobs enqueue count --args-file=-
                    tally jobs enqueue sum --after=1 --after=2 --on-failure=run
                    """#))

    @Argument(help: "The name of the job, by which a worker knows what to do.")
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
        help: "A job for whose end the new one waits; repeatable, up to 100.")
    var dependencies: [JobID] = []

    @Option(
        help: """
            What happens if one of the --after jobs is discarded or cancelled: cancel the new job, \
            run it in any case, or let it wait for a retry.
            """)
    var onFailure = JobDependencies.FailurePolicy.cancel

    @Option(help: "The batch to which the job belongs; see tally jobs batch.")
    var batch: JobBatchID?

    @OptionGroup var settings: JobSettings

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        guard args == nil || argsFile == nil else {
            throw ValidationError("--args and --args-file cannot be combined")
        }
        guard argsFile == nil || settings.unique == nil else {
            throw ValidationError("--args-file and --unique cannot be combined")
        }
    }

    func run() async throws {
        try await options.withJobs(creates: true) { jobs in
            if let argsFile { return try await enqueueLines(of: argsFile, jobs) }
            let receipt = try await jobs.enqueue(job(arguments: args ?? "{}"))
            options.print(json: JobJSON.receipt(receipt), text: text(of: receipt))
        }
    }

    private func job(arguments: String) -> NewJob {
        var job = settings.job(name, arguments: arguments, dueAt: due.dueAt(.now))
        if !dependencies.isEmpty {
            job.dependencies = JobDependencies(dependencies, onFailure: onFailure)
        }
        job.batch = batch
        return job
    }

    private func text(of receipt: EnqueueReceipt) -> String {
        receipt.kind == .existing
            ? "job \(receipt.id) has the same unique key; nothing is stored"
            : "stored job \(receipt.id) in queue '\(settings.queue)'"
    }

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
                throw UsageError("\(error) (\(counted(count, "job")) of '\(path)' are stored)")
            }
        }
        let lines = JobLinesReceipt(count: count)
        options.print(
            json: lines.json, text: "stored \(counted(count, "job")) in queue '\(settings.queue)'")
    }
}
