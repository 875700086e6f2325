import ArgumentParser
import NSQJobs
import TallyJSON

/// `tally jobs limit`: limits how many jobs of a queue run at the same time, and how many start
/// within a time.
struct LimitQueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limit",
        abstract: "Limits how many jobs of a queue run at once, and how many start within a time.",
        discussion: """
            Replaces the former limit, for all workers and from the next job on. A queue can have \
            one limit for all of its jobs, and one for the jobs of each --limit-key. A job that \
            must wait uses no attempt and has no error.
            """
                + HelpText.examples(
                    #"""
                    tally jobs enqueue report --queue=low --limit-key=customer-7
                    tally jobs limit low --concurrency=20 --rate=100/1m
                    tally jobs limit low --per-key --concurrency=1
                    tally jobs stats
                    tally jobs limit low --none
                    """#))

    @Argument(help: "The name of the queue.")
    var queue: String

    @Option(help: "The maximum number of jobs that run at the same time. Default: no limit.")
    var concurrency: Int?

    @Option(
        help: """
            The maximum number of starts within a time, such as 100/1m. Default: no limit.
            """,
        transform: JobLimit.Rate.init(flag:))
    var rate: JobLimit.Rate?

    @Flag(help: "Limit the jobs of each key, and not all jobs of the queue together.")
    var perKey = false

    @Flag(help: "Remove the limit.")
    var none = false

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        guard none == (concurrency == nil && rate == nil) else {
            throw ValidationError(
                none
                    ? "--none cannot be combined with --concurrency and --rate"
                    : "pass --concurrency, --rate or --none")
        }
        try require("--concurrency", concurrency ?? 1, in: 1...10_000)
    }

    func run() async throws {
        let limit = none ? nil : JobLimit(maxRunning: concurrency, rate: rate)
        try await options.withJobs(creates: true) {
            try await $0.setLimit(limit, of: queue, perKey: perKey)
        }
        let noun = perKey ? "each key of queue '\(queue)'" : "queue '\(queue)'"
        options.print(
            json: JobJSON.limit(limit, queue: queue, isPerKey: perKey),
            text: limit.map { "\(noun) is limited to \(JobText.text(of: $0))" }
                ?? "\(noun) has no limit")
    }
}

extension JobLimit.Rate {
    /// Parses the value of a flag, such as `100/1m`.
    ///
    /// - Throws: `ValidationError`.
    init(flag text: String) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let starts = Int(parts[0]), (1...10_000).contains(starts),
            let window = GoDuration(argument: String(parts[1])),
            (.milliseconds(1)...(.seconds(31 * 86_400))).contains(window.duration)
        else {
            throw ValidationError(
                "use a number from 1 to 10000 and a time from 1ms to 744h, such as 100/1m")
        }
        self.init(starts, per: window.duration)
    }
}
