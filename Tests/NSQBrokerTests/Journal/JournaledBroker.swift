import BrokerCore
import NSQBroker
import NSQWire
import TallyBasics
import Testing

/// A broker with a journal on an in-memory disk. Each call is a loop iteration of its own.
final class JournaledBroker {
    let disk: MemoryDisk
    let journal: Journal
    let core: Broker
    let report: JournalReport
    private(set) var now: Timestamp
    /// All values passed to ``Journal/onHealth``.
    private(set) var health: [MessageLogError?] = []

    /// Recovers from the contents of `disk`.
    init(
        on disk: MemoryDisk = MemoryDisk(), at now: Timestamp = .start,
        brokerOptions: BrokerOptions = BrokerOptions(),
        _ configure: (inout Journal.Options) -> Void = { _ in }
    ) throws {
        self.disk = disk
        self.now = now
        var options = Journal.Options()
        configure(&options)
        journal = Journal(on: disk, options)
        core = Broker(options: brokerOptions, messageLog: journal, at: now)
        report = try journal.recover(into: core, at: now)
        journal.onHealth = { [unowned self] in health.append($0) }
        journal.onSync = { [unowned self] write, error in
            if let error {
                core.didFailSync(upTo: write, error, at: self.now)
            } else {
                core.didSync(upTo: write, at: self.now)
            }
        }
    }

    // MARK: Loop iterations

    /// The maximum number of rounds of a loop iteration in these tests.
    private static let maxRounds = 100

    func runIteration(_ body: () -> Void = {}) {
        body()
        for _ in 1...Self.maxRounds {
            let sessions = core.endIteration(at: now)
            for session in sessions where session.isEnded && !session.hasPendingResponses {
                core.disconnect(session, at: now)
            }
            guard !sessions.isEmpty || core.hasPostponedWork else { return }
        }
        Issue.record("the loop iteration does not end")
    }

    /// Completes all pending syncs.
    func finishSyncs(_ error: MessageLogError? = nil) {
        runIteration { disk.finishSyncs(error) }
    }

    /// Tries to write again after a failure, as the timer of a data path does.
    func retryAfterFailure() {
        runIteration {
            journal.retryAfterFailure()
            journal.sync()
        }
    }

    /// Advances the time, with a tick at each deadline of the broker.
    ///
    /// - Returns: the number of ticks.
    @discardableResult
    func advanceTime(by duration: Duration) -> Int {
        let end = now + duration
        var count = 0
        while let due = core.nextDeadline, due <= end.monotonic {
            now = now + .nanoseconds(max(0, due - now.monotonic))
            runIteration { core.tick(at: now) }
            count += 1
        }
        now = end
        runIteration()
        return count
    }

    // MARK: Clients

    func client() -> JournaledClient { JournaledClient(of: self) }

    func consumer(
        of channel: ChannelName = .count, _ topic: TopicName = .plays, ready: Int = 2_500
    ) -> JournaledClient {
        let client = client()
        client.send(.subscribe(topic, channel), .ready(count: ready))
        return client
    }

    /// Publishes each body in a loop iteration of its own.
    func publish(_ bodies: String..., to topic: TopicName = .plays) {
        let client = client()
        for body in bodies {
            client.publish(body, to: topic)
            #expect(client.received() == ["OK"])
        }
    }

    /// The bodies that a new consumer receives.
    func delivered(
        to channel: ChannelName = .count, of topic: TopicName = .plays
    ) -> [String] {
        Array(consumer(of: channel, topic).received().dropFirst())
    }
}

/// A client whose responses and messages are read on demand.
final class JournaledClient {
    let session: Session
    private unowned let broker: JournaledBroker
    private var decoder = FrameDecoder()
    private var ids: [String: MessageID] = [:]

    init(of broker: JournaledBroker) {
        self.broker = broker
        session = broker.core.connect(from: "10.0.0.1:5000", host: "10.0.0.1", at: broker.now)
        send(Array(Command.magic.bytes))
    }

    var isClosed: Bool { session.isEnded && !session.hasPendingResponses }

    func send(_ bytes: [UInt8]) {
        broker.runIteration {
            _ = bytes.withUnsafeBytes {
                broker.core.receive($0, from: session, at: broker.now)
            }
        }
    }

    func send(_ commands: Command...) {
        var bytes: [UInt8] = []
        for command in commands { command.append(to: &bytes) }
        send(bytes)
    }

    /// Publishes all bodies in one loop iteration, each with its own command.
    func publish(_ bodies: String..., to topic: TopicName = .plays) {
        var bytes: [UInt8] = []
        for body in bodies { Command.publish(topic).append(body: Array(body.utf8), to: &bytes) }
        send(bytes)
    }

    /// Returns the responses and bodies received since the last call, without heartbeats.
    func received() -> [String] {
        broker.runIteration()
        var received: [String] = []
        while case let bytes = readAll(), !bytes.isEmpty {
            try? decoder.feed(bytes) { received.append(text(of: $0)) }
            received.removeAll { $0 == "_heartbeat_" }
            broker.runIteration { broker.core.resumeDelivery(to: session) }
        }
        return received
    }

    private func readAll() -> [UInt8] {
        var bytes: [UInt8] = []
        session.outbox.drain { bytes += $0 }
        return bytes
    }

    private func text(of frame: ReceivedFrame) -> String {
        guard frame.kind == .message, let message = ReceivedMessage(data: frame.data) else {
            return String(decoding: frame.data, as: UTF8.self)
        }
        let body = String(decoding: message.body, as: UTF8.self)
        ids[body] = message.id
        return body
    }

    /// Finishes received messages with these bodies.
    func finish(_ bodies: some Collection<String>) {
        var bytes: [UInt8] = []
        FinishLine.append(bodies.map { ids[$0]! }, to: &bytes)
        send(bytes)
    }

    func requeue(_ body: String, afterMilliseconds delay: Int = 0) {
        send(.requeue(ids[body]!, afterMilliseconds: delay))
    }
}

extension Timestamp {
    static let start = Timestamp(monotonic: 5_000_000_000_000, wall: 1_700_000_000_000_000_000)
}

extension TopicName {
    static let plays = TopicName("plays")!
    static let likes = TopicName("likes")!
}

extension ChannelName {
    static let count = ChannelName("count")!
    static let archive = ChannelName("archive")!
}
