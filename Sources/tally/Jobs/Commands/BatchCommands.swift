import ArgumentParser
import NSQJobs

/// `tally jobs batch`: creates batches of jobs. When all jobs of a batch have ended, another job,
/// the callback, is enqueued.
struct BatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "batch",
        abstract: "Creates batches of jobs, with a job that is stored when all of them have ended.",
        discussion: """
            The callback is stored exactly once, however the jobs of the batch end.
            """
                + HelpText.examples(
                    #"""
                    tally jobs batch open --then=report --then-args='{"day":7}'
                    seq 3 | tally jobs enqueue count --batch=1 --args-file=-
                    tally jobs batch close 1
                    tally jobs batch show 1
                    tally jobs list --batch=1
                    """#),
        subcommands: [OpenBatchCommand.self, CloseBatchCommand.self, ShowBatchCommand.self])
}

/// `tally jobs batch open`: creates a batch without jobs.
struct OpenBatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "open",
        abstract: "Creates a batch without jobs, and prints its ID.",
        discussion: HelpText.examples(
            #"""
            tally jobs batch open --then=report --then-args='{"day":7}' --queue=low
            tally jobs enqueue count --batch=1
            tally jobs batch close 1
            tally jobs batch show 1 --json
            """#))

    @Option(help: "The name of the job that is stored when the batch has ended.")
    var then: String?

    @Option(help: "The arguments of that job as JSON.")
    var thenArgs = "{}"

    @OptionGroup var settings: JobSettings

    @OptionGroup var options: JobStoreOptions

    func run() async throws {
        let callback = then.map { settings.job($0, arguments: thenArgs) }
        let batch = try await options.withJobs(creates: true) { jobs in
            let id = try await jobs.openBatch(then: callback)
            return try await jobs.batch(id)
        }
        guard let batch else { throw UsageError("the new batch was deleted by another process") }
        options.print(json: JobJSON.batch(batch), text: "\(batch.id)")
    }
}

/// `tally jobs batch close`: closes a batch, which ends when all its jobs have ended.
struct CloseBatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "close",
        abstract: "Lets a batch end when all of its jobs have ended.",
        discussion: HelpText.examples(
            #"""
            tally jobs batch open --then=report
            tally jobs enqueue count --batch=1
            tally jobs batch close 1
            tally jobs batch show 1
            """#))

    @OptionGroup var batch: NamedBatch

    func run() async throws {
        try await batch.print { try await $0.closeBatch($1) }
    }
}

/// `tally jobs batch show`: prints a batch with the numbers of its jobs.
struct ShowBatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Prints a batch with the numbers of its jobs.",
        discussion: HelpText.examples(
            #"""
            tally jobs batch open --then=report
            tally jobs enqueue count --batch=1
            tally jobs batch show 1
            tally jobs batch show 1 --json | jq .pending
            """#))

    @OptionGroup var batch: NamedBatch

    func run() async throws {
        try await batch.print { _, _ in }
    }
}

/// The options that select a batch.
struct NamedBatch: ParsableArguments {
    @Argument(help: "The ID of the batch.")
    var id: JobBatchID

    @OptionGroup var options: JobStoreOptions

    /// Changes the batch, and prints it.
    func print(_ change: (Jobs, JobBatchID) async throws -> Void) async throws {
        let batch = try await options.withJobs { jobs in
            try await change(jobs, id)
            return try await jobs.batch(id)
        }
        guard let batch else { throw UsageError("unknown batch '\(id)' in '\(options.store)'") }
        options.print(json: JobJSON.batch(batch), text: JobText.batch(batch))
    }
}
