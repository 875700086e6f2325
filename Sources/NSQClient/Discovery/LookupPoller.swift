import HTTP
import Logging
import NSQWire
import TallyBasics
import Transport
import UVLoop

/// Polls all nsqlookupds at an interval with jitter.
///
/// While no nsqd is known, the poller polls after shorter, growing delays. So a consumer that starts
/// before its topic exists does not wait for a whole interval.
final class LookupPoller {
    private let topic: TopicName
    private let lookupds: [HTTPURL]
    private let options: LookupOptions
    private let logger: Logger
    private let client: HTTPClient
    private let timer: Timer
    private var generator = SplitMix64(seed: .random(in: .min ... .max))
    private var backoff: Backoff
    private var poll: LookupPoll?
    private var lastFailures: [String] = []

    /// Receives the result of each poll, and returns `true` if an nsqd is known.
    var onResult: (LookupPoll.Result) -> Bool = { _ in true }

    /// The delay before the second poll, while no nsqd is known.
    private static let shortestDelay = Duration.milliseconds(250)

    /// Creates a poller; ``start()`` sends the first requests.
    init(
        of topic: TopicName, at lookupds: [HTTPURL], options: LookupOptions, on loop: Loop,
        logger: Logger
    ) {
        self.topic = topic
        self.lookupds = lookupds
        self.options = options
        self.logger = logger
        client = HTTPClient(on: loop)
        client.connectTimeout = options.timeout
        client.requestTimeout = options.timeout
        client.maxBodyBytes = LookupResponse.maxBytes
        client.tls = { try? TLSContext(client: TLSClientOptions()) }
        timer = Timer(on: loop)
        backoff = Backoff(
            from: Self.shortestDelay, upTo: options.pollInterval,
            jitterSeed: .random(in: .min ... .max))
    }

    /// Polls at once, and then at intervals.
    func start() {
        guard !lookupds.isEmpty else { return }
        let poll = LookupPoll(for: .having(topic), with: client) { [weak self] in self?.finish($0) }
        self.poll = poll
        poll.start(at: lookupds)
    }

    /// Cancels the current poll. No further poll can be started.
    func close() {
        timer.close()
        poll?.cancel()
        poll = nil
        onResult = { _ in true }
    }

    private func finish(_ result: LookupPoll.Result) {
        poll = nil
        // An outage is logged once, when it begins or changes.
        if result.failures != lastFailures {
            for failure in result.failures { logger.warning("nsqlookupd at \(failure)") }
            lastFailures = result.failures
        }
        let hasNSQD = onResult(result)
        timer.start(after: delay(hasNSQD: hasNSQD)) { [weak self] in self?.start() }
    }

    private func delay(hasNSQD: Bool) -> Duration {
        guard hasNSQD else { return backoff.nextDelay() }
        backoff.reset()
        return options.pollInterval * (1 + options.jitter * generator.nextFraction())
    }
}
