import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs cancel`: cancels jobs.
struct CancelJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Cancels jobs that have not ended. The program of a running job is ended.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report
            tally jobs enqueue report
            tally jobs cancel 1 2
            tally jobs list --state=cancelled
            """#))

    @OptionGroup var jobs: ChangedJobs

    func run() async throws { try await jobs.change { try await $0.cancel($1) } }
}
