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
