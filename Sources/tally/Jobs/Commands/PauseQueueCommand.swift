import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs pause`: pauses a queue.
struct PauseQueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Pauses a queue: its jobs are stored, and none is started.",
        discussion: """
            Running jobs continue.
            """
                + HelpText.examples(
                    #"""
                    tally jobs enqueue report --queue=low
                    tally jobs pause low
                    tally jobs stats
                    tally jobs resume low
                    """#))

    @OptionGroup var queue: ChangedQueue

    func run() async throws { try await queue.change(isPaused: true) }
}
