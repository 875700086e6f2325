import Logging
import NSQBroker
import NSQClient
import UVLoop

/// A broker for one test, and the clients of the test.
///
/// ``withBroker(_:clock:_:)`` starts it and stops it. Any NSQ client can connect to ``tcpAddress``.
public final class TestBroker: Sendable {
    /// The clock of a test broker and of its clients.
    public enum Clock: Sendable {
        /// Time passes as usual.
        case system
        /// Time passes only in ``TestBroker/advance(by:)``. A message timeout of a minute or a delay of
        /// an hour then takes milliseconds.
        case manual
    }

    /// The address that clients connect to, as `host:port`. It stays the same after
    /// ``restart()``.
    public let tcpAddress: String
    /// The clock of the broker and of its clients.
    public let clock: Clock

    private struct State {
        var broker: EmbeddedBroker
        var isRunning = true
    }

    private let configuration: EmbeddedBroker.Configuration
    /// Keeps the port of ``tcpAddress`` while the broker is stopped; `nil` if the test has chosen the
    /// port.
    private let reservation: PortReservation?
    private let state: LockedValue<State>
    private let clients = ClientList()
    private let published: PublishedMessages
    private let faults: BrokerFaults

    /// The longest step in which time passes.
    private static let step = Duration.seconds(1)

    init(_ configuration: EmbeddedBroker.Configuration, clock: Clock) async throws {
        let published = PublishedMessages()
        let faults = BrokerFaults { published.append($1, to: $0) }
        var configuration = configuration
        let reservation = configuration.tcpAddress == "127.0.0.1:0" ? PortReservation() : nil
        if let reservation { configuration.tcpAddress = reservation.address }
        let broker = try await EmbeddedBroker.start(
            configuration, clock: clock.loopClock, faults: faults)
        self.reservation = reservation
        self.published = published
        self.faults = faults
        self.clock = clock
        tcpAddress = broker.tcpAddress
        configuration.tcpAddress = broker.tcpAddress
        self.configuration = configuration
        state = LockedValue(State(broker: broker))
    }

    /// The running broker, for administration, such as
    /// `broker.embedded.pauseChannel("counts", of: "plays")`. ``restart()`` replaces it.
    public var embedded: EmbeddedBroker { state.withLock { $0.broker } }

    // MARK: Clients

    /// Creates a consumer of the broker, which uses the broker's clock, logs nothing below errors, and
    /// is stopped with the broker.
    ///
    /// - Throws: `NSQError` if a name or an option is invalid, or if the process has no file descriptors
    ///   or threads left.
    public func consumer(
        topic: String, channel: String, options: Consumer.Options = .init()
    ) throws(NSQError) -> Consumer {
        let consumer = try Consumer(
            topic: topic, channel: channel, nsqds: [tcpAddress], options: options,
            logger: Logger(quiet: "nsq.consumer"), clock: clock.loopClock)
        clients.add(consumer)
        return consumer
    }

    /// Creates a producer that publishes to the broker. It uses the broker's clock, logs nothing below
    /// errors, and is stopped with the broker.
    ///
    /// - Throws: `NSQError` if an option is invalid, or if the process has no file descriptors
    ///   or threads left.
    public func producer(options: Producer.Options = .init()) throws(NSQError) -> Producer {
        let producer = try Producer(
            nsqds: [tcpAddress], options: options, logger: Logger(quiet: "nsq.producer"),
            clock: clock.loopClock)
        clients.add(producer)
        return producer
    }

    // MARK: Time

    /// Lets time pass for the broker and for the clients that it has created. The time passes in steps
    /// of at most a second, and between two steps all of them process what they have received.
    ///
    /// - Precondition: the broker has a manual clock.
    public func advance(by duration: Duration) async {
        precondition(
            clock == .manual, "only the time of a broker with a manual clock can be advanced")
        var rest = max(duration, .zero)
        repeat {
            let step = min(rest, Self.step)
            rest -= step
            await advanceOnce(by: step)
        } while rest > .zero
        // Processes the work that became due in the last step.
        await advanceOnce(by: .zero)
    }

    private func advanceOnce(by step: Duration) async {
        let broker = embedded
        await broker.advance(by: step)
        // A loop may run the first call before it reads its sockets. It runs the second call after that
        // read.
        for _ in 0..<2 {
            await clients.advance(by: .zero)
            await broker.advance(by: .zero)
        }
        await clients.advance(by: step)
    }

    // MARK: Observation

    /// Returns the current counters of the broker.
    public func statistics() async -> EmbeddedBroker.Statistics { await embedded.statistics() }

    /// Returns the counters of a channel; `nil` if there is no such channel.
    public func channel(
        _ channel: String, of topic: String
    ) async -> EmbeddedBroker.Statistics.Channel? {
        let topic = await statistics().topics.first { $0.name == topic }
        return topic?.channels.first { $0.name == channel }
    }

    /// Waits until the counters fulfil a condition.
    ///
    /// - Parameters:
    ///   - description: what the test waits for, for the error.
    ///   - timeout: the maximum wait in real time, 60 s by default.
    ///   - condition: returns `true` when the wait is over.
    /// - Throws: ``TimedOut`` after the timeout; `CancellationError` if the task is cancelled.
    public func wait(
        until description: String, timeout: Duration = .seconds(60),
        _ condition: (EmbeddedBroker.Statistics) -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + timeout
        while true {
            let statistics = await statistics()
            if condition(statistics) { return }
            guard ContinuousClock.now < deadline else {
                throw TimedOut(condition: description, statistics: statistics)
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Waits until a channel has no message left: none that waits, none in flight, and none deferred.
    ///
    /// - Throws: ``TimedOut`` after the timeout; `CancellationError` if the task is cancelled.
    public func waitUntilDrained(
        _ channel: String, of topic: String, timeout: Duration = .seconds(60)
    ) async throws {
        try await wait(until: "channel \(channel) of \(topic) is drained", timeout: timeout) {
            guard let topic = $0.topics.first(where: { $0.name == topic }), topic.depth == 0,
                let channel = topic.channels.first(where: { $0.name == channel })
            else { return false }
            return channel.depth + channel.inFlightCount + channel.deferredCount == 0
        }
    }

    /// Returns the messages that were published to a topic since the test has begun, whether or not
    /// they were consumed, and also over HTTP. They survive ``restart()``.
    ///
    /// ```swift
    /// try await MyService(nsqd: broker.tcpAddress).greet("Ada")
    /// #expect(try await broker.published(to: "greetings") == [Array("hello Ada".utf8)])
    /// ```
    ///
    /// A broker keeps up to 256 MiB of bodies; ``record(_:)`` has no such limit.
    ///
    /// - Parameters:
    ///   - topic: the name of the topic.
    ///   - count: the number of messages to wait for; 0, the default, does not wait.
    ///   - timeout: the maximum wait in real time, 60 s by default.
    /// - Returns: all bodies, which can be more than `count`, in the order in which the broker has
    ///   accepted them. If messages were published without waiting for the broker's answers, a deferred
    ///   message can come after messages that were published later.
    /// - Throws: ``TimedOut`` after the timeout; ``TooManyPublishedMessages``; `CancellationError` if
    ///   the task is cancelled.
    public func published(
        to topic: String, count: Int = 0, timeout: Duration = .seconds(60)
    ) async throws -> [[UInt8]] {
        try await wait(until: "\(count) messages are published to \(topic)", timeout: timeout) {
            _ in
            // The call below throws the error.
            guard let bodies = try? published.bodies(of: topic) else { return true }
            return bodies.count >= count
        }
        return try published.bodies(of: topic)
    }

    /// Receives the next messages of a topic in a channel of its own, and finishes them. The channel
    /// receives the messages that are published after ``record(_:)``.
    public struct Recording: Sendable {
        fileprivate let consumer: Consumer

        /// Waits for the next messages.
        ///
        /// - Parameter count: how many messages to wait for.
        /// - Returns: their bodies in the order of their arrival; fewer if the broker has stopped.
        /// - Throws: `NSQError` with the code `cancelled` if the task is cancelled.
        public func next(_ count: Int = 1) async throws(NSQError) -> [[UInt8]] {
            var bodies: [[UInt8]] = []
            while bodies.count < count, let delivery = try await consumer.next() {
                bodies.append(delivery.body)
                delivery.finish()
            }
            return bodies
        }
    }

    /// Records the messages that are published to a topic from now on.
    ///
    /// - Throws: `NSQError` or `EmbeddedBroker.AdministrationError` if the name is invalid.
    public func record(_ topic: String) async throws -> Recording {
        let channel = "recording-\(UInt64.random(in: .min ... .max))"
        try await embedded.createChannel(channel, of: topic)
        return Recording(consumer: try consumer(topic: topic, channel: channel))
    }

    // MARK: Faults

    /// Closes connections at once, without sending what is pending. Clients reconnect, and the
    /// messages in flight to them are delivered again.
    ///
    /// ```swift
    /// await broker.cut(.consumers(of: "plays", channel: "counts"))
    /// ```
    ///
    /// - Parameter clients: the clients whose connections are closed, all by default.
    /// - Returns: the number of closed connections.
    @discardableResult
    public func cut(_ clients: ClientSelection = .all) async -> Int {
        await embedded.closeConnections(where: clients.contains)
    }

    /// Adds a fault, which concerns what the broker receives and sends from now on, also after
    /// ``restart()``. If several faults concern the same command or message, the first one added
    /// happens.
    ///
    /// ```swift
    /// broker.inject(.refusePublishes(to: "plays").times(2))
    /// broker.inject(.delayResponses(by: .seconds(1)))
    /// ```
    public func inject(_ fault: BrokerFault) { faults.add(fault.rule) }

    /// Removes all faults. Answers and messages that are already delayed keep their delay.
    public func removeFaults() { faults.removeAll() }

    /// Stops the broker and starts it again at the same address. Topics, channels and messages survive
    /// only if the configuration has a data path.
    ///
    /// - Throws: the error of the start.
    public func restart() async throws(EmbeddedBroker.StartError) {
        await stop()
        try await start()
    }

    /// Stops the broker until ``start()``. Its clients try to reconnect meanwhile.
    public func stop() async {
        await stop(embedded)
        state.withLock { $0.isRunning = false }
    }

    /// Starts the broker at the same address after ``stop()``. Topics, channels and messages survive
    /// only if the configuration has a data path. There is no effect on a running broker.
    ///
    /// - Throws: the error of the start.
    public func start() async throws(EmbeddedBroker.StartError) {
        guard !isRunning else { return }
        let broker = try await repeating(while: { $0.code == .addressInUse }) {
            () async throws(EmbeddedBroker.StartError) in
            try await EmbeddedBroker.start(
                configuration, clock: clock.loopClock, faults: faults)
        }
        state.withLock {
            $0.broker = broker
            $0.isRunning = true
        }
    }

    /// `true` unless the broker was stopped.
    public var isRunning: Bool { state.withLock { $0.isRunning } }

    /// Ends the broker and its clients, at the end of the test.
    func tearDown() async {
        // The broker stops first: a client that stopped first would wait for responses, while the
        // broker's clock may stand still.
        await stop()
        await clients.abandon()
    }

    /// Stops a broker. Meanwhile a manual clock follows the system's clock, because the broker waits
    /// for a limited time until its clients have closed their connections.
    private func stop(_ broker: EmbeddedBroker) async {
        guard clock == .manual else { return await broker.stop() }
        await withTaskGroup { group in
            group.addTask { await broker.stop() }
            group.addTask {
                let step = Duration.milliseconds(10)
                while !Task.isCancelled {
                    await broker.advance(by: step)
                    try? await Task.sleep(for: step)
                }
            }
            await group.next()
            group.cancelAll()
        }
    }
}

/// A condition that was not fulfilled in time.
public struct TimedOut: Error, CustomStringConvertible, Sendable {
    /// What the test waited for.
    public let condition: String
    /// The last counters of the broker.
    public let statistics: EmbeddedBroker.Statistics

    /// A message for the test's output.
    public var description: String { "timed out waiting until \(condition); last: \(statistics)" }
}

extension TestBroker.Clock {
    fileprivate var loopClock: Loop.Clock { self == .manual ? .manual : .system }
}

extension Logger {
    /// A logger that logs errors only.
    init(quiet label: String) {
        self.init(label: label)
        logLevel = .error
    }
}
