import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs discard`: discards waiting jobs, which are then not performed.
struct DiscardJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "Discards waiting jobs: they are not performed, and stay in the list.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report
            tally jobs enqueue report
            tally jobs discard 1 2
            tally jobs list --state=discarded
            """#))

    @OptionGroup var jobs: ChangedJobs

    func run() async throws { try await jobs.change { try await $0.discard($1) } }
}
