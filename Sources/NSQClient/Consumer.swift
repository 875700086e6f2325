import Logging
import NSQWire
import UVLoop

/// Consumes the messages of a channel, from one or several nsqds.
///
/// ```swift
/// let consumer = try Consumer(topic: "plays", channel: "counts", nsqds: ["127.0.0.1:4150"])
/// for await batch in consumer.batches {
///     for message in batch { message.withBody { count($0) } }
///     consumer.finish(batch)
/// }
/// ```
///
/// Messages come in batches, as they were read: answering a batch costs hardly more than answering
/// one message. A message that is not answered before its timeout is delivered again, and so is one
/// whose connection broke: what you do with a message must bear being done twice.
///
/// - SeeAlso: NSQ, “TCP Protocol Spec”, and “Building Client Libraries”.
public final class Consumer: Sendable {
    /// How a consumer talks to nsqd, and how much it takes on.
    public struct Options: Sendable {
        /// What producers and consumers have in common.
        public var client = ClientOptions()

        /// Messages without an answer, at most, over all nsqds; 1,000 unless set. It may be
        /// exceeded for a moment when an nsqd joins, and its share is taken from others.
        public var maxInFlight = 1_000

        /// How long a message may go without an answer: 1 s up to nsqd's `--max-msg-timeout`; nil
        /// (the default) leaves it to nsqd, 60 s unless told otherwise.
        public var messageTimeout: Duration?

        /// How long nsqd may hold messages back to send more at once: 25 ms to 30 s; nil (the
        /// default) leaves it to nsqd, 250 ms unless told otherwise.
        public var outputBufferTimeout: Duration?

        public init() {}
    }

    /// The messages, as they come. Ends when the consumer has stopped.
    ///
    /// One loop should read it; two would share the batches out between them.
    public let batches: AsyncStream<MessageBatch>

    private let engine: EngineThread<ConsumerEngine>
    private let firstConnection: FirstConnection
    private let incoming: AsyncStream<MessageBatch>.Continuation

    /// Starts connecting, in the background, and goes on until stopped.
    ///
    /// - Parameters:
    ///   - topic: comes into being if there is none yet.
    ///   - channel: likewise; all consumers of a channel share its messages out.
    ///   - addresses: of the nsqds, host and port: `127.0.0.1:4150`.
    ///   - options: the defaults, unless given.
    ///   - logger: hears of connections that come and go, and of messages that timed out.
    /// - Throws: ``NSQError/invalidTopic(_:)``, ``NSQError/invalidChannel(_:)``,
    ///   ``NSQError/invalidAddress(_:)``; ``NSQError/unreachable(address:reason:)`` if the process
    ///   has no file descriptors or threads left.
    public init(
        topic: String, channel: String, nsqds addresses: [String], options: Options = Options(),
        logger: Logger = Logger(label: "nsq.consumer")
    ) throws(NSQError) {
        let topic = try TopicName(checking: topic)
        guard let channel = ChannelName(channel) else { throw .invalidChannel(channel) }
        var nsqds: [SocketAddress] = []
        for address in addresses { nsqds.append(try SocketAddress(nsqd: address)) }
        let first = FirstConnection(of: nsqds)
        // The stream holds what is in flight. More can only come when messages time out unread, and
        // the batches dropped then time out as well.
        let (batches, incoming) = AsyncStream.makeStream(
            of: MessageBatch.self, bufferingPolicy: .bufferingOldest(max(1, options.maxInFlight)))
        self.batches = batches
        firstConnection = first
        engine = try EngineThread(for: "consumer", of: addresses.first ?? "") { [nsqds] loop in
            let engine = ConsumerEngine(
                on: loop, topic: topic, channel: channel, nsqds: nsqds, options: options,
                logger: logger)
            engine.onBatch = { incoming.yield($0) }
            engine.onConnection = { first.heard($1, from: $0) }
            engine.start()
            return engine
        }
        self.incoming = incoming
    }

    deinit {
        incoming.finish()
    }

    /// Waits until the first nsqd is connected.
    ///
    /// - Throws: ``NSQError/unreachable(address:reason:)`` or ``NSQError/refused(address:answer:)``
    ///   when all have failed once, of the last of them. The consumer goes on trying nevertheless.
    public func connected() async throws(NSQError) {
        try await firstConnection.outcome()
    }

    /// Tells nsqd that the batch is done with (`FIN`). Messages answered before are left out.
    public func finish(_ batch: MessageBatch) {
        engine.submit { $0?.finish(batch) }
    }

    /// Tells nsqd that the message is done with (`FIN`).
    public func finish(_ message: Message) {
        engine.submit { $0?.finish(message) }
    }

    /// Has nsqd deliver the batch again (`REQ`). Messages answered before are left out.
    ///
    /// It does so at once, unless a delay is given, which is rounded up to milliseconds; nsqd cuts
    /// it to its `--max-req-timeout`, an hour unless told otherwise.
    public func requeue(_ batch: MessageBatch, after delay: Duration = .zero) {
        engine.submit { $0?.requeue(batch, after: delay) }
    }

    /// Has nsqd deliver the message again (`REQ`), with a delay as for a batch.
    public func requeue(_ message: Message, after delay: Duration = .zero) {
        engine.submit { $0?.requeue(message, after: delay) }
    }

    /// Asks for a whole timeout more for the batch (`TOUCH`), up to nsqd's `--max-msg-timeout`.
    public func touch(_ batch: MessageBatch) {
        engine.submit { $0?.touch(batch) }
    }

    /// Asks for no more messages, waits until those in flight are answered or have timed out, and
    /// closes the connections; then ``batches`` ends.
    public func stop() async {
        await engine.stop()
        incoming.finish()
        firstConnection.stopped()
    }
}
