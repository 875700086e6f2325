import ArgumentParser
import NSQTools
import TallyBasics

/// `tally drain`: empties a broker of this package, which then ends.
struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Empties a running broker, which then ends; exits with 0 when it is empty.",
        discussion: """
            The broker refuses publishes, unregisters from nsqlookupd, and delivers the messages that it \
            has to the consumers that are connected and to new ones. tally nsqd ends when no message is \
            left. SIGUSR2 begins a drain of tally nsqd as well. If this command is interrupted, the drain \
            goes on; --cancel ends it. With --hand-over-to, another nsqd receives the messages.

            Exit status: 0 if no message is left, 1 if the broker cannot be reached, ends before it is \
            empty, is not empty after --timeout, or if somebody else cancels the drain, 64 for an \
            invalid command line.
            """
                + HelpText.examples(
                    #"""
                    tally nsqd --http-address=127.0.0.1:4151 --memory-only & sleep 1
                    tally drain
                    wait
                    tally nsqd --http-address=127.0.0.1:4151 --memory-only & sleep 1
                    tally drain --no-wait
                    tally drain --cancel
                    tally nsqd --tcp-address=127.0.0.1:5150 --http-address=127.0.0.1:5151 \
                      --https-address=127.0.0.1:5152 --memory-only & sleep 1
                    curl -d hello 'http://127.0.0.1:4151/pub?topic=plays'
                    tally drain --hand-over-to=127.0.0.1:5151
                    tally stat plays --nsqd-http-address=127.0.0.1:5151
                    kill $!
                    """#))

    @Option(
        help: ArgumentHelp(
            """
            The HTTP address of another nsqd, which receives the messages that wait or are deferred; that \
            of a broker of tally, or of a real nsqd.
            """, valueName: "host:port"))
    var handOverTo: String?

    @Flag(
        help: """
            With --hand-over-to a real nsqd: move messages that some of the topic's channels have \
            finished, which receive them once more.
            """)
    var allowDuplicates = false

    @Option(
        help: "The maximum time until the broker is empty. Default: no maximum.",
        transform: GoDuration.init(flag:))
    var timeout: GoDuration?

    @Flag(help: "Begin the drain, and do not wait until the broker is empty.")
    var noWait = false

    @Flag(help: "End the drain: the broker accepts messages again.")
    var cancel = false

    @OptionGroup var broker: BrokerAddressOptions

    func validate() throws {
        guard !cancel || !noWait && timeout == nil else {
            throw ValidationError("--cancel cannot be combined with --no-wait or --timeout")
        }
        guard !cancel || handOverTo == nil else {
            throw ValidationError("--cancel cannot be combined with --hand-over-to")
        }
        guard !allowDuplicates || handOverTo != nil else {
            throw ValidationError("--allow-duplicates needs --hand-over-to")
        }
        if let timeout { try require("--timeout", timeout, atLeast: "1ms") }
    }

    func run() async throws {
        try await broker.ask { try await run(DrainedBroker(broker.nsqdHttpAddress, $0)) }
    }

    private func run(_ broker: DrainedBroker) async throws {
        let report = try await broker.send(
            cancel ? .cancel : .begin(handOverTo: handOverTo, allowsDuplicates: allowDuplicates))
        guard !cancel, !noWait else {
            return print("\(report.state): \(counted(report.messagesLeft, "message")) left")
        }
        try await DrainWait(broker, timeout: timeout?.duration).run(from: report)
    }
}

/// The broker of a drain.
private struct DrainedBroker {
    private let address: String
    private let client: NSQDQueries

    init(_ address: String, _ client: NSQDQueries) {
        self.address = address
        self.client = client
    }

    func send(_ request: NSQDQueries.DrainRequest) async throws -> DrainReport {
        guard let report = DrainReport(try await client.drain(request, at: address)) else {
            throw UsageError("\(address): the response has no state of a drain")
        }
        return report
    }
}

/// Waits until a broker is empty, and shows the progress.
private struct DrainWait {
    private let broker: DrainedBroker
    private let end: ContinuousClock.Instant?
    private let progress = Progress()

    private static let interval = Duration.milliseconds(200)
    /// The name of the progress bar.
    private static let row = "drained"

    init(_ broker: DrainedBroker, timeout: Duration?) {
        self.broker = broker
        end = timeout.map { .now + $0 }
    }

    func run(from first: DrainReport) async throws {
        progress.begin([Progress.Row(Self.row, of: first.messagesAtStart)])
        do {
            let last = try await wait(from: first)
            progress.end()
            print("drained: \(counted(last.messagesAtStart, "message")), no message is left")
        } catch {
            progress.end()
            throw error
        }
    }

    private func wait(from first: DrainReport) async throws -> DrainReport {
        var report = first
        var errors: [String] = []
        while true {
            for error in report.errors where !errors.contains(error) {
                StandardError.print("waiting: \(error)")
            }
            errors = report.errors
            progress.set(Self.row, max(0, report.messagesAtStart - report.messagesLeft))
            switch report.state {
            case "drained": return report
            case "draining": break
            default: throw UsageError("the drain was cancelled, \(report.summary)")
            }
            if let end, .now >= end {
                throw UsageError(
                    "the broker is not empty after --timeout, \(report.summary) (the drain goes on; "
                        + "wait with tally drain, or end it with tally drain --cancel)")
            }
            try await Task.sleep(for: Self.interval)
            do {
                report = try await broker.send(.report)
            } catch {
                throw UsageError("\(error) (the last report: \(report.summary))")
            }
        }
    }
}
