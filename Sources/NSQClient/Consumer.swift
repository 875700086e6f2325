import HTTP
import Logging
import NSQWire
import UVLoop

/// Consumes the messages of a channel, from the nsqds of a list and from those that nsqlookupds
/// report.
///
/// The simplest way is a handler. A message is finished when the handler returns, and delivered again
/// when it throws:
///
/// ```swift
/// let consumer = try Consumer(topic: "plays", channel: "counts", lookupds: ["127.0.0.1:4161"])
/// try await consumer.run(concurrency: 8) { message in
///     try await count(message.body)
/// }
/// ```
///
/// Or request one message after the other. The compiler ensures that each delivery is answered once:
///
/// ```swift
/// while let delivery = try await consumer.next() {
///     count(delivery.body)
///     delivery.finish()
/// }
/// ```
///
/// For high rates, ``batches`` has the messages of one socket read in one element, and finishing a
/// batch costs little more than finishing one message:
///
/// ```swift
/// for await batch in consumer.batches {
///     for message in batch { message.withBody { count($0) } }
///     consumer.finish(batch)
/// }
/// ```
///
/// Use only one of the three ways for one consumer. nsqd sends messages only while a task requests
/// some. Before the first request, and after the requesting task was cancelled, the channel's other
/// consumers receive all messages. nsqd redelivers a message if it is not finished before its timeout
/// or if its connection breaks, so processing must be idempotent.
///
/// - SeeAlso: NSQ, “TCP Protocol Spec”, and “Building Client Libraries”.
public final class Consumer: Sendable {
    /// Options of a consumer.
    public struct Options: Sendable {
        /// Options of the connections.
        public var client = ClientOptions()

        /// The maximum number of messages in flight over all nsqds; 1,000 by default. After a
        /// further nsqd connects, the consumer can briefly exceed this number, until the other
        /// nsqds apply their lower RDY counts.
        public var maxInFlight = 1_000

        /// The time after which nsqd requeues a message in flight: 1 s up to nsqd's
        /// `--max-msg-timeout`; nil (the default) uses nsqd's `--msg-timeout`, 60 s by default.
        public var messageTimeout: Duration?

        /// The maximum time for which nsqd may buffer messages before it sends them: 25 ms to 30 s;
        /// nil (the default) uses nsqd's `--output-buffer-timeout`, 250 ms by default.
        public var outputBufferTimeout: Duration?

        /// The size in bytes of the buffer in which nsqd collects messages before it sends them: 64
        /// to 65,536; nil (the default) uses nsqd's default, 16,384.
        public var outputBufferBytes: Int?

        /// The percentage of the channel's messages that the consumer receives: 1 to 99; nil (the
        /// default) for all messages. nsqd discards the other messages for the whole channel.
        public var samplePercent: Int?

        /// Options of the discovery by nsqlookupd.
        public var lookup = LookupOptions()

        /// The wait after the first failure in ``Consumer/run(concurrency:retry:onGivenUp:_:)`` is twice
        /// this duration, and doubles with each further failure; 1 s by default, as in go-nsq.
        public var backoffMultiplier = Duration.seconds(1)

        /// The maximum wait after failures; 2 min by default, as in go-nsq. Zero disables the backoff.
        public var maxBackoff = Duration.seconds(120)

        /// The nsqds that send no messages for a while after a failure; all of them by default.
        public var backoffScope = BackoffScope.consumer

        /// The maximum time for which ``Consumer/stop()`` waits for messages in flight; 30 s by default.
        public var stopTimeout = Duration.seconds(30)

        /// Creates options with the default values.
        public init() {}
    }

    /// The received messages in batches. The sequence ends when the consumer has stopped.
    public var batches: Batches { Batches(queue: queue) }

    let engine: LoopHost<ConsumerEngine>
    let queue: MessageQueue
    let logger: Logger
    let instruments: ConsumerInstruments
    private let firstConnection: FirstConnection
    private let stopTimeout: Duration

    /// Starts to connect in the background, and reconnects until ``stop()``.
    ///
    /// - Parameters:
    ///   - topic: the topic to consume, which nsqd creates if it does not exist.
    ///   - channel: the channel to consume, which nsqd creates if it does not exist. nsqd sends
    ///     each message of a channel to one of the channel's consumers.
    ///   - addresses: the host and port of each nsqd to which the consumer always connects, such as
    ///     `127.0.0.1:4150`.
    ///   - lookupds: the HTTP address of each nsqlookupd, such as `127.0.0.1:4161` or
    ///     `https://lookup.example`. The consumer connects to all nsqds that at least one of them
    ///     reports for the topic.
    ///   - options: the options.
    ///   - logger: logs when connections begin and end, and how many messages timed out.
    /// - Throws: ``NSQError/Code/invalidTopic``, ``NSQError/Code/invalidChannel``,
    ///   ``NSQError/Code/invalidAddress``, ``NSQError/Code/invalidOption``;
    ///   ``NSQError/Code/unreachable`` if the process has no file descriptors or threads left.
    public convenience init(
        topic: String, channel: String, nsqds addresses: [String] = [], lookupds: [String] = [],
        options: Options = Options(), logger: Logger = Logger(label: "nsq.consumer")
    ) throws(NSQError) {
        try self.init(
            topic: topic, channel: channel, nsqds: addresses, lookupds: lookupds, options: options,
            logger: logger, clock: .system)
    }

    /// Starts to connect in the background, on a clock that a test may advance.
    package init(
        topic: String, channel: String, nsqds addresses: [String], lookupds: [String] = [],
        options: Options, logger: Logger, clock: Loop.Clock
    ) throws(NSQError) {
        try options.validate()
        let topic = try TopicName(checking: topic)
        guard let channel = ChannelName(channel) else { throw .invalidChannel(channel) }
        var nsqds: [SocketAddress] = []
        for address in addresses { nsqds.append(try SocketAddress(nsqd: address)) }
        var urls: [HTTPURL] = []
        for lookupd in lookupds { urls.append(try HTTPURL(lookupd: lookupd)) }
        let first = FirstConnection(to: nsqds, isDiscovering: !urls.isEmpty)
        let instruments = ConsumerInstruments(topic: topic, channel: channel)
        let demand = DemandForwarder()
        let queue = MessageQueue { demand.submit(requeueing: $0) }
        engine = try .start(
            threadName: "nsq consumer", thread: options.client.ioThread, clock: clock,
            nsqd: addresses.first ?? ""
        ) {
            [nsqds, urls] loop in
            let engine = ConsumerEngine(
                on: loop, topic: topic, channel: channel, nsqds: nsqds, lookupds: urls,
                options: options, logger: logger)
            engine.hasDemand = false
            engine.onBatch = { [unowned engine] batch in
                instruments.countReceived(batch.count)
                if !queue.append(batch) { engine.requeue(batch, after: .zero) }
            }
            engine.onMessagesLost = { queue.removeLost(of: $0, before: $1) }
            engine.onConnection = { first.record($1, from: $0) }
            engine.onPoll = { first.recordPoll($0, failures: $1) }
            engine.start()
            return engine
        }
        demand.connect(queue, to: engine)
        self.queue = queue
        self.logger = logger
        self.instruments = instruments
        firstConnection = first
        stopTimeout = options.stopTimeout
    }

    deinit {
        _ = queue.finish()
    }

    /// Waits until the consumer is connected to at least one nsqd.
    ///
    /// - Throws: ``NSQError/Code/unreachable`` or ``NSQError/Code/refused`` from the last attempt, when
    ///   every known nsqd has failed once; ``NSQError/Code/lookupFailed`` if no nsqd is known because a
    ///   request to an nsqlookupd has failed. After these errors, the consumer still reconnects.
    ///   ``NSQError/Code/cancelled`` if the task is cancelled.
    public func connected() async throws(NSQError) {
        try await firstConnection.wait()
    }

    /// Finishes the messages of a batch that are in flight (`FIN`).
    public func finish(_ batch: MessageBatch) {
        instruments.countFinished(batch.count)
        engine.submit { $0?.finish(batch) }
    }

    /// Finishes a message (`FIN`).
    public func finish(_ message: Message) {
        instruments.countFinished(1)
        engine.submit { $0?.finish(message) }
    }

    /// Requeues the messages of a batch that are in flight (`REQ`).
    ///
    /// - Parameters:
    ///   - batch: the batch.
    ///   - delay: the time until nsqd delivers the messages again, none by default. It is rounded up
    ///     to milliseconds, and nsqd limits it to its `--max-req-timeout`, an hour by default.
    public func requeue(_ batch: MessageBatch, after delay: Duration = .zero) {
        instruments.countRequeued(batch.count)
        endDemandIfCancelled()
        engine.submit { $0?.requeue(batch, after: delay) }
    }

    /// Requeues a message (`REQ`), with a delay as for a batch.
    public func requeue(_ message: Message, after delay: Duration = .zero) {
        instruments.countRequeued(1)
        endDemandIfCancelled()
        engine.submit { $0?.requeue(message, after: delay) }
    }

    /// Ends the demand for messages before a cancelled task requeues one, so that nsqd does not send the
    /// message to this consumer again. The next request of the task would end the demand anyway.
    private func endDemandIfCancelled() {
        if Task.isCancelled { queue.endDemand() }
    }

    /// Restarts the timeout of a batch (`TOUCH`), up to nsqd's `--max-msg-timeout` in total.
    public func touch(_ batch: MessageBatch) {
        engine.submit { $0?.touch(batch) }
    }

    /// Restarts the timeout of each message in flight until the message is finished or requeued, up to
    /// nsqd's `--max-msg-timeout`.
    package func keepMessagesAlive() {
        engine.submit { $0?.keepsMessagesAlive = true }
    }

    /// Advances the manual clock, and returns when the due work is done.
    package func advance(by duration: Duration) async { await engine.advance(by: duration) }

    /// Closes all connections at once, and returns when the thread has ended.
    package func abandon() async {
        _ = queue.finish()
        engine.submit { $0?.abandon() }
        await engine.stop()
        firstConnection.cancel()
    }

    /// Pauses the consumer: nsqd sends no more messages until ``resume()``.
    public func pause() {
        engine.submit { $0?.isPaused = true }
    }

    /// Continues after ``pause()``.
    public func resume() {
        engine.submit { $0?.isPaused = false }
    }

    /// Changes the maximum number of messages in flight over all nsqds; a negative number counts as
    /// zero.
    public func setMaxInFlight(_ count: Int) {
        engine.submit { $0?.maxInFlight = max(0, count) }
    }

    /// Returns the current counters of each connection. They are empty after ``stop()``.
    public func statistics() async -> Statistics {
        await engine.perform(\.statistics) ?? Statistics(connections: [])
    }

    /// Stops the consumer: sends `CLS` to each nsqd, requeues the messages that no task has taken,
    /// waits until all other messages in flight are finished, requeued or timed out, and closes the
    /// connections. After ``Options/stopTimeout``, or when the task is cancelled, the consumer closes the
    /// connections at once, and nsqd requeues the messages.
    ///
    /// Requests for messages return `nil` from now on, and ``batches`` ends.
    public func stop() async {
        let rest = queue.finish()
        engine.submit { [stopTimeout] engine in
            engine?.hasDemand = false
            for message in rest { engine?.requeue(message, after: .zero) }
            engine?.abandon(after: stopTimeout)
        }
        await withTaskCancellationHandler {
            await engine.stop()
        } onCancel: {
            engine.submit { $0?.abandon() }
        }
        firstConnection.cancel()
    }
}

/// Submits changes of the demand for messages to the engine. The queue exists before the engine, and
/// neither may retain the other.
private final class DemandForwarder: Sendable {
    private struct Connection {
        weak var queue: MessageQueue?
        weak var engine: LoopHost<ConsumerEngine>?
    }

    private let connection = LockedValue<Connection?>(nil)

    func connect(_ queue: MessageQueue, to engine: LoopHost<ConsumerEngine>) {
        connection.withLock { $0 = Connection(queue: queue, engine: engine) }
    }

    func submit(requeueing messages: [Message]) {
        let (queue, engine) = connection.withLock { ($0?.queue, $0?.engine) }
        engine?.submit { engine in
            // The present demand is read from the queue, because changes of the demand can be
            // submitted in another order than they occurred.
            engine?.hasDemand = queue?.hasDemand ?? false
            // The demand is set before the messages are requeued, so that RDY 0 precedes REQ.
            // Otherwise nsqd could send the messages to this consumer again.
            for message in messages { engine?.requeue(message, after: .zero) }
        }
    }
}

extension HTTPURL {
    /// Parses the address of an nsqlookupd, with or without a scheme and a path.
    ///
    /// - Throws: ``NSQError/Code/invalidAddress``.
    package init(lookupd text: String) throws(NSQError) {
        let scheme = text.lowercased().hasPrefix("https:") ? Scheme.https : .http
        let url = text.contains("://") ? text : "http://" + text
        guard let parsed = HTTPURL(parsing: url, scheme: scheme) else {
            throw .invalidAddress(text)
        }
        self = parsed
    }
}
