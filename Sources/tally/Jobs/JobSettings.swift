import ArgumentParser
import NSQJobs

/// The options that set the properties of a new job.
struct JobSettings: ParsableArguments {
    @Option(help: "The queue of the job.")
    var queue = "default"

    @Option(help: "The priority.")
    var priority = JobPriority.normal

    @Option(
        help: """
            Store nothing if a job with the same name and this key has not ended, and report that \
            job.
            """)
    var unique: String?

    @Option(
        help: """
            The key of a limit, such as the number of a customer; see tally jobs limit --per-key.
            """)
    var limitKey: String?

    @Option(name: .customLong("tag"), help: "A label of the job; repeatable.")
    var tags: [String] = []

    @Option(help: "The maximum number of attempts.")
    var maxAttempts = JobRetryPolicy().maxAttempts

    @Option(
        help: "The delay after the first failure. It doubles with each further failure.",
        transform: GoDuration.init(flag:))
    var retryDelay: GoDuration?

    @Option(
        help: "The maximum duration of an attempt. Default: no limit.",
        transform: GoDuration.init(flag:))
    var timeout: GoDuration?

    func validate() throws {
        try require("--max-attempts", maxAttempts, in: 1...10_000)
        if let retryDelay { try require("--retry-delay", retryDelay, atLeast: "0s") }
        if let timeout { try require("--timeout", timeout, atLeast: "1ms") }
    }

    /// Creates a job with these settings.
    func job(_ name: String, arguments: String, dueAt: JobTime? = nil) -> NewJob {
        var options = JobOptions(
            queue: queue, maxAttempts: maxAttempts, priority: priority, tags: tags,
            timeout: timeout?.duration)
        if let retryDelay { options.retry.firstDelay = retryDelay.duration }
        return NewJob(
            name: name, arguments: arguments, options: options, uniqueKey: unique,
            limitKey: limitKey,
            dueAt: dueAt)
    }
}
