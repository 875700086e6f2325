import BrokerCore
import NSQWire

/// A broker whose clock is the test's, and the clients that speak to it.
///
/// Every call on it or on a client is a turn of its own, unless several stand in one ``turn(_:)``.
final class TestBroker {
    let core: Broker
    private(set) var now = Moment.start
    private var clients: [SessionID: TestClient] = [:]
    private var isInTurn = false
    /// Answers at once; without one, questions stay open.
    var authorizationServer: ((AuthorizationQuestion) -> Authorization?)?
    /// Called when a turn has ended and everybody has read what came.
    var afterTurn: () -> Void = {}

    init(_ options: BrokerOptions = BrokerOptions()) {
        core = Broker(options: options, at: .start)
    }

    convenience init(_ configure: (inout BrokerOptions) -> Void) {
        var options = BrokerOptions()
        configure(&options)
        self.init(options)
    }

    // MARK: Clients

    /// A client that has connected and said nothing.
    func stranger() -> TestClient {
        let session = core.connect(from: "10.0.0.1:5000", host: "10.0.0.1", at: now)
        let client = TestClient(session, of: self)
        clients[session.id] = client
        return client
    }

    /// A client that has said the magic.
    func client() -> TestClient {
        let client = stranger()
        client.send(Array(Command.magic.bytes))
        return client
    }

    /// A client with a subscription, and messages if there are any.
    func consumer(
        of channel: ChannelName = .count, _ topic: TopicName = .plays, ready: Int = 0,
        identify configure: (inout Identify) -> Void = { _ in }
    ) -> TestClient {
        let client = client()
        var wishes = Identify()
        configure(&wishes)
        turn {
            if wishes != Identify() { client.identify(wishes) }
            client.send(.subscribe(topic, channel))
            if ready > 0 { client.send(.ready(count: ready)) }
        }
        client.forgetAnswers()
        return client
    }

    // MARK: Turns

    /// Everything in `body` is one turn of whoever drives the core.
    func turn<Result>(_ body: () throws -> Result) rethrows -> Result {
        guard !isInTurn else { return try body() }
        isInTurn = true
        defer {
            endTurn()
            isInTurn = false
            afterTurn()
        }
        return try body()
    }

    private func endTurn() {
        while case let sessions = core.endTurn(at: now), !sessions.isEmpty {
            for session in sessions { clients[session.id]?.flush() }
        }
    }

    func left(_ client: TestClient) { clients[client.session.id] = nil }

    // MARK: Time

    /// Lets time pass, with a tick at every moment the core asked for.
    func pass(_ duration: Duration) {
        let end = now + duration
        while let due = core.nextDeadline, due <= end.monotonic {
            let wait = max(0, due - now.monotonic)
            now = now + .nanoseconds(wait)
            turn { core.tick(at: now) }
        }
        now = end
        turn {}
    }

    /// Lets time pass without a tick: the core hears of it with whatever comes next.
    func passUnnoticed(_ duration: Duration) { now = now + duration }

    // MARK: Control

    @discardableResult
    func control(_ action: (Broker, Moment) -> Bool) -> Bool { turn { action(core, now) } }

    // MARK: Statistics

    var statistics: BrokerStatistics { core.statistics(at: now) }

    func topic(_ name: TopicName = .plays) -> TopicStatistics? {
        statistics.topics.first { $0.name == name }
    }

    func channel(_ name: ChannelName = .count, of topic: TopicName = .plays) -> ChannelStatistics? {
        self.topic(topic)?.channels.first { $0.name == name }
    }
}

extension Moment {
    static let start = Moment(monotonic: 5_000_000_000_000, wall: 1_700_000_000_000_000_000)
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
