import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs retry`: makes jobs that wait or have ended available to workers at once.
struct RetryJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry",
        abstract: "Makes jobs that wait for a time or have ended available at once.",
        discussion: """
            A job that has used all its attempts gets one more.
            """
                + HelpText.examples(
                    #"""
                    tally jobs enqueue report --in=1h
                    tally jobs retry 1
                    tally jobs show 1
                    tally jobs stats
                    """#))

    @OptionGroup var jobs: ChangedJobs

    func run() async throws { try await jobs.change { try await $0.retry($1) } }
}
