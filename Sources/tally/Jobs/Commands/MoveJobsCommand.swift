import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs move`: moves jobs to another queue.
struct MoveJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Moves waiting jobs to another queue.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report
            tally jobs enqueue report
            tally jobs move 1 2 --queue=low
            tally jobs list --queue=low
            """#))

    @OptionGroup var jobs: ChangedJobs

    @Option(help: "The queue to which the jobs move.")
    var queue: String

    func run() async throws {
        try await jobs.change { try await $0.edit($1, JobEdit(queue: queue)) }
    }
}
