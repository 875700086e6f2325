import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

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
