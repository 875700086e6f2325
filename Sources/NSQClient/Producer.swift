import Logging
import NSQWire
import UVLoop

/// Publishes messages to one nsqd.
///
/// ```swift
/// let producer = try Producer(nsqd: "127.0.0.1:4150")
/// try await producer.publish("{\"video\": 7}".utf8, to: "plays")
/// await producer.stop()
/// ```
///
/// Call it from as many tasks as you like: publishes are pipelined on one connection, which is
/// renewed by itself when it breaks. A publish that returns has been accepted by nsqd. One that
/// throws tells by its error whether it may have been accepted; none is ever sent twice.
///
/// - SeeAlso: NSQ, “TCP Protocol Spec”, PUB, MPUB and DPUB.
public final class Producer: Sendable {
    /// How a producer talks to nsqd, and how much it takes on.
    public struct Options: Sendable {
        /// What producers and consumers have in common.
        public var client = ClientOptions()

        /// Publishes sent and not answered, at most; 1,000 unless set.
        public var window = 1_000

        /// Their bytes: from here on publishes wait; 16 MiB unless set.
        public var windowBytes = 16 << 20

        /// Publishes that may wait for room in the window or for the connection; 10,000 unless set.
        /// Further ones fail at once.
        public var mostWaiting = 10_000

        /// How long ``Producer/stop()`` waits for answers; 5 s unless set.
        public var stopTimeout = Duration.seconds(5)

        public init() {}
    }

    private let engine: EngineThread<ProducerEngine>

    /// Starts connecting, in the background.
    ///
    /// - Parameters:
    ///   - address: host and port, `127.0.0.1:4150`.
    ///   - options: the defaults, unless given.
    ///   - logger: hears of connections that come and go.
    /// - Throws: ``NSQError/invalidAddress(_:)``; ``NSQError/unreachable(address:reason:)`` if the
    ///   process has no file descriptors or threads left.
    public init(
        nsqd address: String, options: Options = Options(),
        logger: Logger = Logger(label: "nsq.producer")
    ) throws(NSQError) {
        let nsqd = try SocketAddress(nsqd: address)
        engine = try EngineThread(for: "producer", of: address) { loop in
            let engine = ProducerEngine(on: loop, nsqd: nsqd, options: options, logger: logger)
            engine.start()
            return engine
        }
    }

    /// Publishes one message.
    ///
    /// - Parameters:
    ///   - body: 1 byte up to nsqd's `--max-msg-size`, 1 MiB unless told otherwise.
    ///   - topic: comes into being if there is none yet.
    /// - Throws: ``NSQError/invalidTopic(_:)`` and ``NSQError/emptyMessage`` before anything is
    ///   sent; ``NSQError/unreachable(address:reason:)`` and ``NSQError/tooManyWaiting(limit:)``
    ///   when it was not sent and can be tried again; ``NSQError/refused(address:answer:)``;
    ///   ``NSQError/connectionLost(address:reason:)`` when it may have been published or not;
    ///   ``NSQError/stopped``.
    public func publish(_ body: some Sequence<UInt8>, to topic: String) async throws(NSQError) {
        let topic = try TopicName(checking: topic)
        let body = Array(body)
        try await answer { $0.publish(body, to: topic, $1) }
    }

    /// Publishes one message that nsqd delivers after a delay.
    ///
    /// The delay is rounded up to milliseconds, and may be at most nsqd's `--max-req-timeout`, an
    /// hour unless told otherwise.
    ///
    /// - Throws: as without a delay.
    public func publish(
        _ body: some Sequence<UInt8>, to topic: String, after delay: Duration
    ) async throws(NSQError) {
        let topic = try TopicName(checking: topic)
        let body = Array(body)
        try await answer { $0.publish(body, to: topic, after: delay, $1) }
    }

    /// Publishes all messages of a batch, or none.
    ///
    /// - Throws: as for a single message.
    public func publish(_ batch: PublishBatch, to topic: String) async throws(NSQError) {
        let topic = try TopicName(checking: topic)
        try await answer { $0.publish(batch, to: topic, $1) }
    }

    /// Takes no more messages, waits for the answers that are due, and closes the connection.
    public func stop() async {
        await engine.stop()
    }

    private func answer(
        _ publish: @escaping @Sendable (ProducerEngine, @escaping ProducerEngine.Completion) -> Void
    ) async throws(NSQError) {
        let engine = engine
        let error: NSQError? = await withCheckedContinuation { continuation in
            let runs = engine.submit { engine in
                publish(engine!) { continuation.resume(returning: $0) }
            }
            if !runs { continuation.resume(returning: .stopped) }
        }
        if let error { throw error }
    }
}

extension SocketAddress {
    init(nsqd text: String) throws(NSQError) {
        do throws(MalformedAddress) {
            try self.init(parsing: text)
        } catch {
            throw .invalidAddress(text)
        }
    }
}

extension TopicName {
    init(checking text: String) throws(NSQError) {
        guard let name = TopicName(text) else { throw .invalidTopic(text) }
        self = name
    }
}
