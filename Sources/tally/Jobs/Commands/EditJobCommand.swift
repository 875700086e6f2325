import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// `tally jobs edit`: changes a waiting job.
struct EditJobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit",
        abstract: "Changes the arguments or settings of a waiting job.",
        discussion: HelpText.examples(
            #"""
            tally jobs enqueue report --args='{"user":7}' --in=1h
            tally jobs edit 1 --args='{"user":8}' --priority=high --tag=urgent
            tally jobs edit 1 --in=10m --max-attempts=3
            tally jobs show 1
            """#))

    @Argument(help: "The ID of the job.")
    var id: JobID

    @Option(help: "The new arguments as JSON.")
    var args: String?

    @OptionGroup var due: DueOptions

    @Option(help: "The new priority.")
    var priority: JobPriority?

    @Option(name: .customLong("tag"), help: "A label that replaces the present labels; repeatable.")
    var tags: [String] = []

    @Option(help: "The new maximum number of attempts.")
    var maxAttempts: Int?

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        try require("--max-attempts", maxAttempts ?? 1, in: 1...10_000)
        guard edit != JobEdit() else {
            throw ValidationError(
                "nothing to change: pass --args, --in, --at, --priority, --tag or --max-attempts")
        }
    }

    private var edit: JobEdit {
        JobEdit(
            arguments: args, priority: priority, tags: tags.isEmpty ? nil : tags,
            dueAt: due.dueAt(.now), maxAttempts: maxAttempts)
    }

    func run() async throws {
        let job = try await options.withJobs { try await $0.edit(id, edit) }
        options.print(json: JobJSON.job(job), text: "job \(id) is changed, and is \(job.state)")
    }
}
