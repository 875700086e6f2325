import ArgumentParser
import NSQJobs
import TallyBasics
import TallyJSON

/// The jobs that a command changes.
struct ChangedJobs: ParsableArguments {
    @Argument(help: "The IDs of the jobs.")
    var ids: [JobID]

    @OptionGroup var options: JobStoreOptions

    func validate() throws {
        guard ids.count <= 10_000 else {
            throw ValidationError("a command can change up to 10000 jobs, not \(ids.count)")
        }
    }

    /// Changes the jobs one after the other, and prints each.
    ///
    /// - Throws: the first error. The jobs before it are changed and printed.
    func change(_ change: (Jobs, JobID) async throws -> JobRecord) async throws {
        try await options.withJobs { jobs in
            for id in ids {
                let job = try await change(jobs, id)
                let request = job.isCancelRequested ? ", cancellation requested" : ""
                options.print(
                    json: JobJSON.job(job),
                    text: "job \(id) of queue '\(job.queue)' is \(job.state)\(request)")
            }
        }
    }
}

/// `tally jobs retry`: makes jobs available at once.
struct RetryJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry",
        abstract: "Makes jobs available at once that wait for a time or have ended.",
        discussion: """
            A job without an attempt left gets one more.
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

/// `tally jobs discard`: gives up jobs.
struct DiscardJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "Gives up jobs that wait.",
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

/// `tally jobs move`: moves jobs to another queue.
struct MoveJobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Moves jobs that wait to another queue.",
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

/// `tally jobs edit`: changes a job that waits.
struct EditJobCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit",
        abstract: "Changes the arguments or settings of a job that waits.",
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

/// The queue that a command changes.
struct ChangedQueue: ParsableArguments {
    @Argument(help: "The name of the queue.")
    var queue: String

    @OptionGroup var options: JobStoreOptions

    /// Changes the queue, and prints it.
    func change(isPaused: Bool) async throws {
        try await options.withJobs { jobs in
            if isPaused { try await jobs.pause(queue) } else { try await jobs.resume(queue) }
        }
        options.print(
            json: JSONWriter.object {
                $0.member("queue", queue)
                $0.member("paused", isPaused)
            }, text: "queue '\(queue)' is \(isPaused ? "paused" : "resumed")")
    }
}

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
