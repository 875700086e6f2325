import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs resume`: resumes a paused queue.
struct ResumeQueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Resumes a paused queue.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report --queue=low
            tally jobs pause low
            tally jobs resume low
            tally jobs stats
            """#))

    @OptionGroup var queue: ChangedQueue

    func run() async throws { try await queue.change(isPaused: false) }
}
