import Logging
import NSQWire
import UVLoop

/// Publishes messages to one or several nsqds.
///
/// ```swift
/// let producer = try Producer(nsqd: "127.0.0.1:4150")
/// try await producer.publish("{\"video\": 7}", to: "plays")
/// await producer.stop()
/// ```
///
/// Any number of tasks can publish concurrently. The producer pipelines their messages on one
/// connection per nsqd, and reconnects when a connection breaks. Publishes wait for the new connection
/// up to ``Options/reconnectTimeout``. When a publish method returns, nsqd has accepted the message.
/// When it throws, ``NSQError/mayHaveBeenAccepted`` tells whether nsqd may have accepted it. A refused
/// message does not affect other messages.
///
/// Cancelling the task ends a publish: a message that was not sent yet is never sent.
///
/// - SeeAlso: NSQ, “TCP Protocol Spec”, PUB, MPUB and DPUB.
public final class Producer: Sendable {
    private let engine: LoopHost<ProducerEngine>
    private let lastID = LockedValue<UInt64>(0)
    private let instruments = ProducerInstruments()

    /// Starts to connect to one nsqd in the background.
    ///
    /// - Parameters:
    ///   - address: the host and port of the nsqd, such as `127.0.0.1:4150`.
    ///   - options: options other than the defaults.
    ///   - logger: logs when connections begin and end.
    /// - Throws: an error with the code ``NSQError/Code/invalidAddress`` or
    ///   ``NSQError/Code/invalidOption``; ``NSQError/Code/unreachable`` if the process has no file
    ///   descriptors or threads left.
    public convenience init(
        nsqd address: String, options: Options = Options(),
        logger: Logger = Logger(label: "nsq.producer")
    ) throws(NSQError) {
        try self.init(nsqds: [address], options: options, logger: logger, clock: .system)
    }

    /// Starts to connect to several nsqds in the background. Each message is published to one of
    /// them, which ``Options/distribution`` selects.
    ///
    /// - Parameters:
    ///   - addresses: the host and port of each nsqd, such as `127.0.0.1:4150`; at least one.
    ///   - options: options other than the defaults.
    ///   - logger: logs when connections begin and end.
    /// - Throws: the same errors as ``init(nsqd:options:logger:)``.
    public convenience init(
        nsqds addresses: [String], options: Options = Options(),
        logger: Logger = Logger(label: "nsq.producer")
    ) throws(NSQError) {
        try self.init(nsqds: addresses, options: options, logger: logger, clock: .system)
    }

    /// Starts to connect in the background, on a clock that a test may advance.
    ///
    /// - Parameter onConnectionChange: runs on the thread of the connections.
    package init(
        nsqds addresses: [String], options: Options, logger: Logger, clock: Loop.Clock = .system,
        onConnectionChange: @escaping @Sendable (ConnectionChange) -> Void = { _ in }
    ) throws(NSQError) {
        try options.validate()
        guard let first = addresses.first else {
            throw .invalidOption("a producer requires the address of at least one nsqd")
        }
        var nsqds: [SocketAddress] = []
        for address in addresses { nsqds.append(try SocketAddress(nsqd: address)) }
        engine = try .start(
            threadName: "nsq producer", thread: options.client.ioThread, clock: clock, nsqd: first
        ) {
            [nsqds] loop in
            let engine = ProducerEngine(on: loop, nsqds: nsqds, options: options, logger: logger)
            engine.onConnectionChange = onConnectionChange
            engine.start()
            return engine
        }
    }

    /// Publishes one message.
    ///
    /// - Parameters:
    ///   - body: the message body: 1 byte up to nsqd's `--max-msg-size`, 1 MiB by default.
    ///   - topic: the topic, which nsqd creates if it does not exist.
    /// - Throws: ``NSQError``. ``NSQError/isRetriable`` tells whether to publish again, and
    ///   ``NSQError/mayHaveBeenAccepted`` whether that can cause a duplicate.
    public func publish(_ body: some Sequence<UInt8>, to topic: String) async throws(NSQError) {
        let topic = try TopicName(checking: topic)
        let body = Array(body)
        try await response(to: topic) { $0.publish(body, to: topic, id: $1, $2) }
    }

    /// Publishes one message with a text in UTF-8.
    ///
    /// - Parameters:
    ///   - text: the message body: 1 byte up to nsqd's `--max-msg-size`, 1 MiB by default.
    ///   - topic: the topic, which nsqd creates if it does not exist.
    /// - Throws: the same errors as for a message of bytes.
    public func publish(_ text: some StringProtocol, to topic: String) async throws(NSQError) {
        try await publish(text.utf8, to: topic)
    }

    /// Publishes one message that nsqd delivers after a delay.
    ///
    /// - Parameters:
    ///   - body: the message body: 1 byte up to nsqd's `--max-msg-size`, 1 MiB by default.
    ///   - topic: the topic, which nsqd creates if it does not exist.
    ///   - delay: the time until nsqd delivers the message, rounded up to milliseconds, and at most
    ///     nsqd's `--max-req-timeout`, an hour by default.
    /// - Throws: the same errors as for a message without a delay.
    public func publish(
        _ body: some Sequence<UInt8>, to topic: String, after delay: Duration
    ) async throws(NSQError) {
        let topic = try TopicName(checking: topic)
        let body = Array(body)
        try await response(to: topic) { $0.publish(body, to: topic, after: delay, id: $1, $2) }
    }

    /// Publishes one message with a text in UTF-8 that nsqd delivers after a delay.
    ///
    /// - Parameters:
    ///   - text: the message body: 1 byte up to nsqd's `--max-msg-size`, 1 MiB by default.
    ///   - topic: the topic, which nsqd creates if it does not exist.
    ///   - delay: the time until nsqd delivers the message, as for a message of bytes.
    /// - Throws: the same errors as for a message of bytes.
    public func publish(
        _ text: some StringProtocol, to topic: String, after delay: Duration
    ) async throws(NSQError) {
        try await publish(text.utf8, to: topic, after: delay)
    }

    /// Publishes all messages of a batch, or none.
    ///
    /// - Throws: the same errors as for a single message.
    public func publish(_ batch: PublishBatch, to topic: String) async throws(NSQError) {
        let topic = try TopicName(checking: topic)
        try await response(to: topic, batch.count) { $0.publish(batch, to: topic, id: $1, $2) }
    }

    /// Stops the producer, which accepts no more messages, waits for the pending responses, and
    /// closes the connections.
    public func stop() async {
        await engine.stop()
    }

    /// Advances the manual clock, and returns when the due work is done.
    package func advance(by duration: Duration) async { await engine.advance(by: duration) }

    /// Closes the connections at once, and returns when the thread has ended.
    package func abandon() async {
        engine.submit { $0?.abandon {} }
        await engine.stop()
    }

    private typealias Publish =
        @Sendable (
            ProducerEngine, UInt64, @escaping ProducerEngine.Completion
        ) -> Void

    private func response(
        to topic: TopicName, _ count: Int = 1, _ publish: @escaping Publish
    ) async throws(NSQError) {
        let failure = await instruments.observe(publishTo: topic.text, count: count) {
            await error(of: publish)
        }
        if let failure { throw failure }
    }

    /// Publishes on the engine's thread, and waits for nsqd's response or the cancellation of the
    /// task.
    ///
    /// - Returns: the error of a failed publish.
    private func error(of publish: @escaping Publish) async -> NSQError? {
        guard !Task.isCancelled else { return .cancelled(mayHaveBeenAccepted: false) }
        let engine = engine
        let id = lastID.withLock { last in
            last += 1
            return last
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let runs = engine.submit { engine in
                    guard let engine else { return continuation.resume(returning: .stopped) }
                    publish(engine, id) { continuation.resume(returning: $0) }
                }
                if !runs { return continuation.resume(returning: .stopped) }
                // A cancellation handler that ran before the publish was submitted had no effect.
                if Task.isCancelled { engine.submit { $0?.cancel(id) } }
            }
        } onCancel: {
            engine.submit { $0?.cancel(id) }
        }
    }
}

extension LoopHost {
    /// Starts a producer or a consumer on the shared thread, or on one of its own. A manual clock
    /// belongs to one thread, so a client with a manual clock never uses the shared thread.
    ///
    /// - Throws: ``NSQError/Code/unreachable`` if the process has no file descriptors or threads
    ///   left.
    static func start(
        threadName: String, thread: ClientOptions.IOThread, clock: Loop.Clock,
        nsqd address: String, _ create: @escaping @Sendable (Loop) -> Hosted
    ) throws(NSQError) -> LoopHost {
        do throws(UVError) {
            if thread == .shared, clock == .system {
                return try LoopHost(sharing: ClientOptions.sharedThread, create)
            }
            return try LoopHost(threadName: threadName, clock: clock, create)
        } catch {
            throw .unreachable(address: address, reason: error.description)
        }
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
