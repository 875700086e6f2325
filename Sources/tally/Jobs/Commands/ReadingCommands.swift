import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs list`: prints jobs, the latest first.
struct ListJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Prints jobs, the latest first.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report --queue=low
            tally jobs list
            tally jobs list --state=discarded --state=retryable --queue=low --limit=100
            tally jobs list --json | jq '.jobs[].name'
            """#))

    @Option(
        name: .customLong("state"),
        help: "Print only jobs in this state; repeatable.")
    var states: [JobState] = []

    @Option(help: "Print only jobs of this queue.")
    var queue: String?

    @Option(help: "Print only jobs with this name.")
    var name: String?

    @Option(help: "Print only jobs with this label.")
    var tag: String?

    @Option(help: "Print only jobs of this batch.")
    var batch: JobBatchID?

    @Option(help: "The maximum number of jobs to print.")
    var limit = 50

    @Option(help: "Print only jobs with a lower ID, for the next page.")
    var before: JobID?

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        try require("--limit", limit, in: 1...1_000)
    }

    func run() async throws {
        let query = JobQuery(
            states: Set(states), queue: queue, name: name, tag: tag, batch: batch, before: before,
            limit: limit)
        let page = try await options.withJobs { try await $0.jobs(matching: query) }
        options.print(json: JobJSON.page(page), text: JobText.list(page))
    }
}

/// `tally jobs names`: prints the names of jobs.
struct JobNamesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "names",
        abstract: "Prints the names of the stored jobs, for completion.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report
            tally jobs names
            tally jobs names --prefix=rep
            tally jobs names --json | jq .names
            """#))

    @Option(help: "Print only names that begin with this text.")
    var prefix = ""

    @Option(help: "The maximum number of names to print.")
    var limit = 100

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        try require("--limit", limit, in: 1...1_000)
    }

    func run() async throws {
        let names = try await options.withJobs {
            try await $0.names(withPrefix: prefix, limit: limit)
        }
        options.print(
            json: JSONWriter.object { $0.member("names", names) },
            text: names.map { LogText.sanitized($0) }.joined(separator: "\n"))
    }
}

/// `tally jobs show`: prints one job with its attempts.
struct ShowJobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Prints one job with its arguments, its output and its attempts.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report
            tally jobs show 1
            tally jobs show 1 --json | jq .state
            tally jobs list --queue=default
            """#))

    @Argument(help: "The ID of the job.")
    var id: JobID

    @OptionGroup var options: JobStoreOptions

    func run() async throws {
        let (job, details) = try await options.withJobs { jobs in
            guard let job = try await jobs.status(of: id) else {
                throw UsageError("unknown job '\(id)' in '\(options.store)'")
            }
            return (
                job,
                JobDetails(
                    attempts: try await jobs.attempts(of: id),
                    dependencies: try await jobs.dependencies(of: id),
                    steps: try await jobs.steps(of: id))
            )
        }
        options.print(
            json: JobJSON.job(
                job, attempts: details.attempts, dependencies: details.dependencies,
                steps: details.steps),
            text: JobText.job(job, details))
    }
}

/// `tally jobs stats`: prints the number of jobs of each queue and state, and the workers.
struct JobStatisticsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Prints the number of jobs of each queue and state, and the workers.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report
            tally jobs enqueue report --in=1h
            tally jobs stats
            tally jobs stats --json | jq .queues
            """#))

    @OptionGroup var options: JobStoreOptions

    func run() async throws {
        let (queues, workers) = try await options.withJobs {
            (try await $0.counts(), try await $0.workers())
        }
        options.print(
            json: JobJSON.statistics(queues, workers), text: JobText.statistics(queues, workers))
    }
}
