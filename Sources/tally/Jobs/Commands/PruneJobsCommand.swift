import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs prune`: deletes ended jobs.
struct PruneJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Deletes ended jobs by their age and number.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report
            tally jobs prune --older-than=720h
            tally jobs prune --state=completed --keep=1000
            tally jobs prune --older-than=24h --json
            """#))

    @Option(
        help: "Delete jobs that ended longer ago, such as 720h.",
        transform: GoDuration.init(flag:))
    var olderThan: GoDuration?

    @Option(help: "Delete the oldest jobs until this number remains in each queue and state.")
    var keep: Int?

    @Option(
        name: .customLong("state"),
        help:
            "Delete only jobs in this state; repeatable. Default: completed, discarded and cancelled."
    )
    var states: [JobState] = []

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        guard olderThan != nil || keep != nil else {
            throw ValidationError("pass --older-than or --keep")
        }
        try require("--keep", keep ?? 0, in: 0...1_000_000_000)
        if let olderThan { try require("--older-than", olderThan, atLeast: "0s") }
        if let state = states.first(where: { !$0.isFinal }) {
            throw ValidationError(
                "jobs in state '\(state)' have not ended (use tally jobs discard or cancel)")
        }
    }

    func run() async throws {
        var rule = PruneRule(olderThan: olderThan?.duration, keepingAtMost: keep)
        if !states.isEmpty { rule.states = Set(states) }
        let count = try await options.withJobs { try await $0.prune(rule) }
        options.print(
            json: JSONWriter.object { $0.member("deleted", count) },
            text: "deleted \(counted(count, "job"))")
    }
}
