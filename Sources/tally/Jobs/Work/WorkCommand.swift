import ArgumentParser
import Foundation
import HTTP
import Logging
import NSQBroker
import NSQClient
import NSQJobs
import UVLoop

/// `tally jobs work`: performs jobs by running a program for each.
struct WorkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "work",
        abstract: "Performs jobs by running a program for each, until SIGINT or SIGTERM.",
        discussion: """
            The program reads the arguments of the job as JSON from standard input. The \
            environment variables TALLY_JOB_ID, TALLY_JOB_NAME, TALLY_JOB_QUEUE, \
            TALLY_JOB_ATTEMPT and TALLY_JOB_MAX_ATTEMPTS describe the job. With tally jobs step, \
            the program runs a part of its work once over all attempts.

            Exit status 0 completes the job, and 75 runs it again after --snooze, without using \
            an attempt. Any other end fails the attempt, with the end of standard error as the \
            error. A job can run twice if this process or its machine fails between the end of \
            the program and the commit, so the program must be idempotent.

            With --keep, a program is started once for each slot of --concurrency. It reads one \
            line of JSON for each job, {"id":7,"name":"greet","queue":"mail","attempt":1,\
            "max_attempts":20,"arguments":{}}, and answers with one line on standard output, \
            {"id":7,"result":"completed"}. The other results are failed and discarded with \
            "error", and snoozed with "delay_seconds". The line of a job that has a trace also has \
            "traceparent" and "tracestate". A program that ends, exceeds a limit or \
            answers otherwise fails its job, and is replaced. It ends when its standard input \
            ends. Before its answer it can ask for a step by {"id":7,"step":"pay"}, and store its \
            result with "output"; it reads a line in answer to each.

            The first SIGINT or SIGTERM takes no more jobs and waits up to --stop-timeout for the \
            running ones. The second one ends this process and all programs at once.
            """
                + HelpText.examples(
                    #"""
                    tally jobs serve --store=jobs.sqlite & sleep 1
                    seq 5 | tally jobs enqueue square --args-file=- --store=jobs.sqlite
                    tally jobs work --store=jobs.sqlite --until-empty --concurrency=2 -- \
                      sh -c 'read n; echo $((n * n))'
                    tally jobs stats --store=jobs.sqlite
                    kill $!
                    """#))

    @Option(name: .customLong("queue"), help: "A queue whose jobs to perform; repeatable.")
    var queues: [String] = ["default"]

    @Option(help: "The maximum number of programs that run at the same time.")
    var concurrency = 1

    @Option(
        name: .customLong("nsqd-tcp-address"),
        help: "The address of an nsqd, as HOST:PORT; repeatable.")
    var nsqds: [SocketAddress] = [SocketAddress(host: "127.0.0.1", port: 4150)]

    @Option(
        name: .customLong("lookupd-http-address"),
        help: """
            Take jobs also from all nsqds that this nsqlookupd reports, HOST:PORT; repeatable.
            """)
    var lookupds: [HTTPAddress] = []

    @OptionGroup(title: "Connections to nsqd")
    var connection: ConnectionOptions

    @Option(help: "The SQLite file with the jobs.")
    var store = "jobs.sqlite"

    @Option(
        help: "End a program that runs longer, and fail its job. Default: no limit.",
        transform: GoDuration.init(flag:))
    var timeLimit: GoDuration?

    @Option(
        name: .customLong("memory-limit-mib"),
        help: """
            Kill a program that uses more memory in MiB, its children included, and fail its job. \
            Default: no limit.
            """)
    var memoryLimit: Int?

    @Option(durationHelp: "The delay until a job runs again if its program ends with status 75.")
    var snooze = GoDuration(argument: "60s")!

    @Option(durationHelp: "The time after which the jobs of a killed worker are available again.")
    var lease = GoDuration(argument: "30s")!

    @Option(durationHelp: "The maximum time that a stopping worker waits for running programs.")
    var stopTimeout = GoDuration(argument: "30s")!

    @Option(durationHelp: "The time from SIGTERM to SIGKILL for a program that must end.")
    var killDelay = GoDuration(argument: "2s")!

    @OptionGroup var relay: RelayOptions

    @Flag(help: "Start the program once for each slot, and pass jobs to it as lines.")
    var keep = false

    @Flag(help: "Stop when no job of the queues is available or running.")
    var untilEmpty = false

    @OptionGroup var log: LogArguments

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("The program and its arguments, after --.", valueName: "program"))
    var program: [String] = []

    func validate() throws {
        guard !program.isEmpty else {
            throw ValidationError("missing program: pass it and its arguments after --")
        }
        try require("--concurrency", concurrency, in: 1...1_000)
        try require("--memory-limit-mib", memoryLimit ?? 1, in: 1...1_000_000_000)
        try require("--lease", lease, atLeast: "100ms")
        for (flag, value) in [
            ("--snooze", snooze), ("--stop-timeout", stopTimeout), ("--kill-delay", killDelay),
        ] {
            try require(flag, value, atLeast: "0s")
        }
        for (flag, value, longest) in [
            ("--lease", lease, "1h"), ("--stop-timeout", stopTimeout, "50s"),
            ("--kill-delay", killDelay, "4s"),
        ] where value.duration > GoDuration(argument: longest)!.duration {
            throw ValidationError("\(flag) must be at most \(longest), not \(value)")
        }
        if let timeLimit { try require("--time-limit", timeLimit, atLeast: "10ms") }
    }

    func run() async throws {
        let logger = log.logger("tally")
        var limits = JobProgram.Limits(
            time: timeLimit?.duration, memoryBytes: memoryLimit.map { $0 << 20 })
        limits.killDelay = killDelay.duration
        var program = try JobProgram(program, limits: limits)
        program.store = URL(filePath: store).path
        let client = try connection.clientOptions(ofCommand: "jobs")
        let signals = try await StopSignals.watch()
        var configuration = Jobs.Configuration()
        configuration.republishDelay = relay.republishDelay.duration
        // Only tally jobs serve deletes ended jobs, according to its own flags.
        configuration.pruning = .none
        configuration.logger = logger
        configuration.producer.client = client
        let jobs = try await Jobs(
            store: .sqlite(store), nsqds: nsqds.map(\.description), configuration: configuration)
        do {
            try await work(jobs, program, client, until: signals, logger)
        } catch {
            await jobs.stop()
            throw error
        }
        await jobs.stop()
        await signals.stop()
    }

    private func work(
        _ jobs: Jobs, _ program: JobProgram, _ client: ClientOptions,
        until signals: StopSignals, _ logger: Logger
    ) async throws {
        var options = JobWorker.Options(queues: queues, concurrency: concurrency)
        options.client = client
        options.lookupds = lookupds.map(\.url.description)
        options.lease = lease.duration
        // A short grace period is enough: when this process has ended, guard processes kill its
        // programs.
        options.gracePeriod = .seconds(1)
        options.stopTimeout = stopTimeout.duration
        let snooze = snooze.duration
        let kept = keep ? PersistentPrograms(program, snooze: snooze) : nil
        let worker = jobs.worker(options) { handlers in
            handlers.registerFallback { context in
                guard let kept else { return try await program.perform(context, snooze: snooze) }
                try await kept.perform(context)
            }
        }
        let (started, start) = AsyncStream<Void>.makeStream()
        let watches = [
            Task {
                // `signals.next()` reports to the service manager that the worker is ready, so it
                // is called only after the start.
                for await _ in started {}
                guard !Task.isCancelled, let name = await signals.next() else { return }
                logger.info("\(name): no more jobs are taken; waiting for the running ones")
                worker.stop()
            },
            Task {
                guard untilEmpty, await isEmpty(jobs) else { return }
                worker.stop()
            },
        ]
        defer { for watch in watches { watch.cancel() } }
        logger.info("performing jobs of \(queues.joined(separator: ", ")) in \(store)")
        do {
            try await worker.run { start.finish() }
        } catch {
            await kept?.close()
            throw error
        }
        await kept?.close()
    }

    /// Waits until no job of the queues is available or running.
    ///
    /// - Returns: `false` if the task is cancelled first.
    private func isEmpty(_ jobs: Jobs) async -> Bool {
        repeat {
            guard let counts = try? await jobs.counts() else { continue }
            let isBusy = counts.contains {
                queues.contains($0.queue) && $0[.available] + $0[.running] > 0
            }
            if !isBusy { return true }
        } while (try? await Task.sleep(for: .milliseconds(50))) != nil
        return false
    }
}

extension JobProgram {
    /// Runs the program for a job.
    ///
    /// - Parameter snooze: the delay after which the job runs again if the program ends with exit
    ///   status 75.
    /// - Throws: the error or interruption with which the attempt ends, if the program did not
    ///   succeed.
    fileprivate func perform(_ context: JobContext, snooze: Duration) async throws {
        let end = await ProgramRun.run(
            self, input: Array(context.job.arguments.utf8),
            environment: environment(of: context.job))
        switch end.reason {
        case .exited(status: 0): return
        case .exited(status: ProgramEnd.snoozeStatus): throw JobInterruption.snooze(snooze)
        case .cancelled: throw CancellationError()
        default: throw ProgramFailure(description: end.failure)
        }
    }
}
