import BrokerCore
import NSQWire
import TallyBasics
import Testing

/// A broker with a clock that the test advances, and its clients.
///
/// Every call of a method of this type or of ``TestClient`` is a loop iteration of its own, except the
/// calls inside of ``iteration(_:)``.
final class TestBroker {
    let core: Broker
    private(set) var now = Timestamp.start
    private var clients: [SessionID: TestClient] = [:]
    private var isInIteration = false
    /// The number of iterations, including those that continued postponed work.
    private(set) var iterationCount = 0
    /// Answers each authorization request at once; if `nil`, requests stay pending.
    var authorizationServer: ((AuthorizationRequest) -> Authorization?)?
    /// Called after each iteration, when all clients have read their messages.
    var afterIteration: () -> Void = {}
    /// Called after each iteration, including those that continue postponed work.
    var afterContinuation: () -> Void = {}

    init(_ options: BrokerOptions = BrokerOptions()) {
        core = Broker(options: options, at: .start)
    }

    convenience init(_ configure: (inout BrokerOptions) -> Void) {
        var options = BrokerOptions()
        configure(&options)
        self.init(options)
    }

    // MARK: Clients

    /// A client that has connected and sent nothing.
    func connectedClient() -> TestClient {
        let session = core.connect(from: "10.0.0.1:5000", host: "10.0.0.1", at: now)
        let client = TestClient(session, of: self)
        clients[session.id] = client
        return client
    }

    /// A client that has sent the protocol magic.
    func client() -> TestClient {
        let client = connectedClient()
        client.send(Array(Command.magic.bytes))
        return client
    }

    /// A client with a subscription. It has received messages if there are any.
    func consumer(
        of channel: ChannelName = .count, _ topic: TopicName = .plays, ready: Int = 0,
        identify configure: (inout Identify) -> Void = { _ in }
    ) -> TestClient {
        let client = client()
        var request = Identify()
        configure(&request)
        iteration {
            if request != Identify() { client.identify(request) }
            client.send(.subscribe(topic, channel))
            if ready > 0 { client.send(.ready(count: ready)) }
        }
        client.forgetAnswers()
        return client
    }

    // MARK: Iterations

    /// Makes all calls in `body` in one loop iteration.
    func iteration<Result>(_ body: () throws -> Result) rethrows -> Result {
        guard !isInIteration else { return try body() }
        isInIteration = true
        defer {
            endIteration()
            isInIteration = false
            afterIteration()
        }
        return try body()
    }

    /// The maximum number of iterations that continue postponed work. More of them mean that the
    /// broker postpones work that does not progress.
    private static let maxContinuations = 100_000

    /// Ends the iteration, and runs further ones until no work is postponed.
    private func endIteration() {
        for _ in 0..<Self.maxContinuations {
            while case let sessions = core.endIteration(at: now), !sessions.isEmpty {
                for session in sessions { clients[session.id]?.flush() }
            }
            iterationCount += 1
            afterContinuation()
            let postponed = clients.values.filter(\.session.hasPostponedInput)
                .sorted { $0.session.id < $1.session.id }
            guard core.hasPostponedWork || !postponed.isEmpty else { return }
            for client in postponed { client.continueInput() }
        }
        Issue.record("the broker postpones work without progress")
    }

    func left(_ client: TestClient) { clients[client.session.id] = nil }

    // MARK: Time

    /// Advances the clock, with a tick at each deadline of the broker.
    func pass(_ duration: Duration) {
        let end = now + duration
        while let due = core.nextDeadline, due <= end.monotonic {
            let wait = max(0, due - now.monotonic)
            now = now + .nanoseconds(wait)
            iteration { core.tick(at: now) }
        }
        now = end
        iteration {}
    }

    /// Advances the clock without a tick.
    func passUnnoticed(_ duration: Duration) { now = now + duration }

    // MARK: Control

    @discardableResult
    func control(_ action: (Broker, Timestamp) -> Bool) -> Bool { iteration { action(core, now) } }

    // MARK: Statistics

    var statistics: BrokerStatistics { core.statistics(at: now) }

    func topic(_ name: TopicName = .plays) -> TopicStatistics? {
        statistics.topics.first { $0.name == name }
    }

    func channel(_ name: ChannelName = .count, of topic: TopicName = .plays) -> ChannelStatistics? {
        self.topic(topic)?.channels.first { $0.name == name }
    }
}

extension Timestamp {
    static let start = Timestamp(monotonic: 5_000_000_000_000, wall: 1_700_000_000_000_000_000)
}

extension TopicName {
    static let plays = TopicName("plays")!
    static let likes = TopicName("likes")!
    static let brief = TopicName("brief#ephemeral")!
}

extension ChannelName {
    static let count = ChannelName("count")!
    static let archive = ChannelName("archive")!
    static let brief = ChannelName("brief#ephemeral")!
}
