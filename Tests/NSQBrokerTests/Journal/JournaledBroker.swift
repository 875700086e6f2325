import BrokerCore
import NSQBroker
import NSQWire
import Testing

/// A broker with a journal on a disk in memory. Every call is a turn of its own.
final class JournaledBroker {
    let disk: MemoryDisk
    let journal: Journal
    let core: Broker
    let report: JournalReport
    private(set) var now: Moment
    /// What the journal has said of its health.
    private(set) var health: [LedgerError?] = []

    /// One that finds on the disk what there is.
    init(
        on disk: MemoryDisk = MemoryDisk(), at now: Moment = .start,
        _ configure: (inout Journal.Options) -> Void = { _ in }
    ) throws {
        self.disk = disk
        self.now = now
        var options = Journal.Options()
        configure(&options)
        journal = Journal(on: disk, options)
        core = Broker(ledger: journal, at: now)
        report = try journal.recover(into: core, at: now)
        journal.onHealth = { [unowned self] in health.append($0) }
        journal.onSync = { [unowned self] write, error in
            if let error {
                core.syncFailed(upTo: write, error, at: self.now)
            } else {
                core.synced(upTo: write, at: self.now)
            }
        }
    }

    // MARK: Turns

    /// More rounds than a turn of these tests can take.
    private static let mostRounds = 100

    func turn(_ body: () -> Void = {}) {
        body()
        for _ in 1...Self.mostRounds {
            let sessions = core.endTurn(at: now)
            for session in sessions where session.isEnded && !session.awaitsAnswers {
                core.disconnect(session, at: now)
            }
            guard !sessions.isEmpty else { return }
        }
        Issue.record("the turn does not end")
    }

    /// Every sync that was asked for comes to its end.
    func finishSyncs(_ error: LedgerError? = nil) {
        turn { disk.finishSyncs(error) }
    }

    /// What the timer of a data path does.
    func tryAgain() {
        turn {
            journal.tryAgain()
            journal.sync()
        }
    }

    /// Lets time pass, with a tick at every moment the core asked for.
    func pass(_ duration: Duration) {
        let end = now + duration
        while let due = core.nextDeadline, due <= end.monotonic {
            now = now + .nanoseconds(max(0, due - now.monotonic))
            turn { core.tick(at: now) }
        }
        now = end
        turn()
    }

    // MARK: Clients

    func client() -> JournaledClient { JournaledClient(of: self) }

    func consumer(
        of channel: ChannelName = .count, _ topic: TopicName = .plays, ready: Int = 2_500
    ) -> JournaledClient {
        let client = client()
        client.say(.subscribe(topic, channel), .ready(count: ready))
        return client
    }

    /// Publishes each body in a turn of its own.
    func publish(_ bodies: String..., to topic: TopicName = .plays) {
        let client = client()
        for body in bodies {
            client.publish(body, to: topic)
            #expect(client.heard() == ["OK"])
        }
    }

    /// What a new consumer is given.
    func delivered(
        to channel: ChannelName = .count, of topic: TopicName = .plays
    ) -> [String] {
        Array(consumer(of: channel, topic).heard().dropFirst())
    }
}

/// A client that hears all that it is told, when it is asked what it has heard.
final class JournaledClient {
    let session: Session
    private unowned let broker: JournaledBroker
    private var decoder = FrameDecoder()
    private var ids: [String: MessageID] = [:]

    init(of broker: JournaledBroker) {
        self.broker = broker
        session = broker.core.connect(from: "10.0.0.1:5000", host: "10.0.0.1", at: broker.now)
        say(Array(Command.magic.bytes))
    }

    var isHungUp: Bool { session.isEnded && !session.awaitsAnswers }

    func say(_ bytes: [UInt8]) {
        broker.turn {
            _ = bytes.withUnsafeBytes {
                broker.core.receive($0, from: session, at: broker.now)
            }
        }
    }

    func say(_ commands: Command...) {
        var bytes: [UInt8] = []
        for command in commands { command.append(to: &bytes) }
        say(bytes)
    }

    /// Publishes all bodies in one turn, each by a command of its own.
    func publish(_ bodies: String..., to topic: TopicName = .plays) {
        var bytes: [UInt8] = []
        for body in bodies { Command.publish(topic).append(body: Array(body.utf8), to: &bytes) }
        say(bytes)
    }

    /// The answers and bodies that came since the last time, without heartbeats.
    func heard() -> [String] {
        broker.turn()
        var heard: [String] = []
        while case let bytes = takeAll(), !bytes.isEmpty {
            try? decoder.feed(bytes) { heard.append(text(of: $0)) }
            heard.removeAll { $0 == "_heartbeat_" }
            broker.turn { broker.core.hasRoomAgain(session) }
        }
        return heard
    }

    private func takeAll() -> [UInt8] {
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

    /// Finishes messages whose bodies it has heard.
    func finish(_ bodies: some Collection<String>) {
        var bytes: [UInt8] = []
        FinishLine.append(bodies.map { ids[$0]! }, to: &bytes)
        say(bytes)
    }

    func requeue(_ body: String, afterMilliseconds delay: Int = 0) {
        say(.requeue(ids[body]!, afterMilliseconds: delay))
    }
}

extension Moment {
    static let start = Moment(monotonic: 5_000_000_000_000, wall: 1_700_000_000_000_000_000)
}

extension TopicName {
    static let plays = TopicName("plays")!
    static let likes = TopicName("likes")!
}

extension ChannelName {
    static let count = ChannelName("count")!
    static let archive = ChannelName("archive")!
}
