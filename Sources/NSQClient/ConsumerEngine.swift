import HTTP
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// Consumes a channel from one or several nsqds on an existing loop, without a thread of its own.
/// The engine connects to the nsqds of a configured list, and to the nsqds that nsqlookupds report.
///
/// ``onBatch`` receives messages in batches: a batch has the messages of one socket read. The owner
/// must finish or requeue each message before the message times out. ``maxInFlight`` limits the
/// number of messages that are neither finished nor requeued.
package final class ConsumerEngine {
    /// Receives the messages. The closure can finish them during the call or later.
    package var onBatch: (MessageBatch) -> Void = { _ in }

    /// Runs when nsqd has requeued messages. `connection` is the serial number of their connection.
    /// `oldestBatch` is the serial number of the oldest batch that is still in flight, or `nil` if the
    /// connection has ended.
    var onMessagesLost: (_ connection: Int, _ oldestBatch: Int?) -> Void = { _, _ in }

    /// Runs when a connection is established (with nil) or ends (with its error), for
    /// ``FirstConnection``.
    package var onConnection: (SocketAddress, NSQError?) -> Void = { _, _ in }

    /// The topic of the channel.
    package let topic: TopicName
    let loop: Loop
    let options: Consumer.Options
    let role: ClientSession.Role
    let logger: Logger
    private var inFlightLimit: InFlightLimit
    private var distribution: ReadyDistribution
    private let backoffTimer: Timer
    private let stopTimer: Timer
    private var connections: [ConsumerConnection] = []
    private let configured: [SocketAddress]
    private var discovered = DiscoveredNSQDs()
    private let poller: LookupPoller
    private let maintenanceTimer: Timer
    private var maintenanceRuns = 0
    private var isStarted = false
    /// The callbacks of ``stop(_:)``; nil until its first call.
    private var stopCallbacks: [() -> Void]?
    /// The serial number of the last established connection. Batches carry this number, so that a
    /// FIN is never sent on a later connection.
    private var lastNumber = 0

    /// Runs after each poll of the nsqlookupds, with the reported nsqds and a description of each
    /// failed request, for ``FirstConnection``.
    package var onPoll: (Set<SocketAddress>, [String]) -> Void = { _, _ in }

    /// Creates a consumer that is not started.
    ///
    /// - Parameters:
    ///   - loop: the loop of all connections.
    ///   - topic: the topic of the channel.
    ///   - channel: the channel to consume.
    ///   - addresses: the nsqds to which the consumer always connects.
    ///   - lookupds: the base URLs of the nsqlookupds that report further nsqds.
    ///   - options: the options.
    ///   - logger: logs when connections begin and end.
    package init(
        on loop: Loop, topic: TopicName, channel: ChannelName, nsqds addresses: [SocketAddress],
        lookupds: [HTTPURL] = [], options: Consumer.Options = .init(),
        logger: Logger = Logger(label: "nsq.consumer")
    ) {
        self.loop = loop
        self.options = options
        self.logger = logger
        self.topic = topic
        role = .consumer(topic, channel)
        inFlightLimit = InFlightLimit(
            maxInFlight: options.maxInFlight, hasDemand: true, backoff: FailureBackoff(options))
        distribution = ReadyDistribution(maxInFlight: inFlightLimit.limit)
        backoffTimer = Timer(on: loop)
        stopTimer = Timer(on: loop)
        maintenanceTimer = Timer(on: loop)
        configured = addresses
        poller = LookupPoller(
            of: topic, at: lookupds, options: options.lookup.limited, on: loop, logger: logger)
        connections = addresses.map { ConsumerConnection(of: self, nsqd: $0) }
    }

    /// Starts to connect.
    package func start() {
        precondition(!isStarted, "a consumer starts once")
        isStarted = true
        let interval = Self.maintenanceInterval
        maintenanceTimer.start(after: interval, repeating: interval) { [weak self] in
            self?.runMaintenance()
        }
        for connection in connections { connection.connect() }
        poller.onResult = { [weak self] in self?.apply($0) ?? true }
        poller.start()
    }

    /// The number of messages in flight.
    package var inFlight: Int { connections.reduce(0) { $0 + $1.inFlight } }

    /// The current counters.
    var statistics: Consumer.Statistics {
        Consumer.Statistics(
            connections: connections.compactMap { connection in
                connection.number.map { number in
                    Consumer.Statistics.Connection(
                        address: connection.address.description,
                        readyCount: distribution.ready(of: number),
                        inFlightCount: connection.inFlight,
                        isLeaving: isStopping || connection.isLeaving)
                }
            })
    }

    /// The number of established connections.
    package var connectionCount: Int { connections.count { $0.number != nil } }

    /// The maximum number of messages in flight over all connections; 0 pauses the consumer.
    package var maxInFlight: Int {
        get { inFlightLimit.maxInFlight }
        set { change { $0.maxInFlight = newValue } }
    }

    /// `true` (the default) if the owner requests messages. While it is `false`, all RDY counts are
    /// 0, so no nsqd sends messages.
    var hasDemand: Bool {
        get { inFlightLimit.hasDemand }
        set { change { $0.hasDemand = newValue } }
    }

    /// `true` while the consumer is paused, and no nsqd sends messages.
    package var isPaused: Bool {
        get { inFlightLimit.isPaused }
        set { change { $0.isPaused = newValue } }
    }

    /// `true` if the consumer restarts the timeout of each message in flight (`TOUCH`) until the
    /// message is finished or requeued, up to nsqd's `--max-msg-timeout`.
    package var keepsMessagesAlive = false

    /// Reports to the backoff whether a message was processed or failed.
    ///
    /// - Parameters:
    ///   - isSuccess: whether the message was processed.
    ///   - number: the serial number of the message's connection.
    func recordOutcome(isSuccess: Bool, connection number: Int) {
        switch options.backoffScope {
        case .none: break
        case .nsqd: connection(number)?.recordOutcome(isSuccess: isSuccess)
        case .consumer:
            let wait = change { $0.backoff.record(isSuccess: isSuccess) }
            guard let wait else { return }
            logger.warning("messages fail; waiting for \(wait) before the next one")
            backoffTimer.start(after: wait) { [weak self] in
                self?.change { $0.backoff.endWait() }
            }
        }
    }

    /// Limits the messages in flight of one connection during the backoff of its nsqd.
    func limitReady(of number: Int, to cap: Int?) {
        apply(distribution.setCap(number, to: cap))
    }

    @discardableResult
    private func change<Result>(_ body: (inout InFlightLimit) -> Result) -> Result {
        defer {
            if inFlightLimit.limit != distribution.maxInFlight {
                apply(distribution.setMaxInFlight(inFlightLimit.limit))
            }
            updateDirectWriting()
        }
        return body(&inFlightLimit)
    }

    /// Allows direct writes of FIN while there is at most one message in flight. With more messages,
    /// the loop sends several FIN in one write, which costs less.
    func updateDirectWriting() {
        let isAllowed =
            inFlightLimit.limit == 1 && inFlightLimit.backoff.phase == .none && !isStopping
        for connection in connections { connection.setDirectWriting(isAllowed) }
    }

    /// The smallest RDY count of a connection that may receive messages; 0 if there is none. While this
    /// many messages have no answer, an nsqd may send no more.
    package var leastReady: Int { distribution.leastReady }

    /// Finishes those messages of a batch that are in flight (`FIN`).
    ///
    /// If the connection has ended or the messages have timed out, the call has no effect, because
    /// nsqd redelivers the messages.
    package func finish(_ batch: MessageBatch) {
        connection(batch.connection)?.finish(batch)
    }

    /// Finishes a message (`FIN`).
    package func finish(_ message: Message) {
        complete(message) { Command.finish($0) }
    }

    /// Completes a message whose FIN was written directly.
    ///
    /// - Parameters:
    ///   - message: the message.
    ///   - isPartlyWritten: `true` if the connection must write the rest of the FIN.
    func didFinishDirectly(_ message: Message, isPartlyWritten: Bool) {
        connection(message.place.connection)?
            .didFinishDirectly(message, isPartlyWritten: isPartlyWritten)
    }

    /// Requeues those messages of a batch that are in flight (`REQ`), with a delay that is rounded
    /// up to milliseconds.
    package func requeue(_ batch: MessageBatch, after delay: Duration) {
        let milliseconds = delay.millisecondsRoundedUp
        connection(batch.connection)?.complete(batch) {
            Command.requeue($0, afterMilliseconds: milliseconds)
        }
    }

    /// Requeues a message (`REQ`), with a delay that is rounded up to milliseconds.
    package func requeue(_ message: Message, after delay: Duration) {
        let milliseconds = delay.millisecondsRoundedUp
        complete(message) { Command.requeue($0, afterMilliseconds: milliseconds) }
    }

    /// Restarts the timeout of those messages of a batch that are in flight (`TOUCH`).
    package func touch(_ batch: MessageBatch) {
        connection(batch.connection)?.touch(batch)
    }

    /// Restarts the timeout of a message in flight (`TOUCH`).
    func touch(_ message: Message) {
        connection(message.place.connection)?.touch(message)
    }

    /// Stops the consumer: sends `CLS` to each nsqd, waits until all messages in flight are
    /// finished, requeued or timed out, and closes all connections.
    package func stop(_ done: @escaping () -> Void = {}) {
        let isFirst = !isStopping
        // The callback retains the engine until it has stopped.
        stopCallbacks = (stopCallbacks ?? []) + [{ withExtendedLifetime(self, done) }]
        if isFirst {
            updateDirectWriting()
            poller.close()
            for connection in connections { connection.stop() }
        }
        finishStopping()
    }

    /// Closes all connections at once. nsqd requeues the messages in flight.
    package func abandon(_ done: @escaping () -> Void = {}) {
        stop(done)
        for connection in connections { connection.abandon() }
    }

    /// Closes all connections after `timeout`, if the consumer has not stopped by then.
    func abandon(after timeout: Duration) {
        stopTimer.start(after: timeout) { [weak self] in
            guard let self else { return }
            logger.warning("\(counted(inFlight, "message")) had no answer before the stop timeout")
            abandon()
        }
    }

    private func complete(_ message: Message, with command: (MessageID) -> Command) {
        connection(message.place.connection)?.complete(message, with: command)
    }

    private func connection(_ number: Int) -> ConsumerConnection? {
        connections.first { $0.number == number }
    }

    private func runMaintenance() {
        let now = loop.nowNanoseconds
        for connection in connections { connection.runMaintenance(atNanoseconds: now) }
        updateIdleConnections(atNanoseconds: now)
        maintenanceRuns += 1
        if maintenanceRuns % Self.runsPerRotation == 0 { apply(distribution.rotate()) }
    }

    private func updateIdleConnections(atNanoseconds now: Int64) {
        let idleSince = now - Self.idleTime.nanoseconds
        apply(
            distribution.updateIdle {
                connection($0)?.updateIdle(sinceNanoseconds: idleSince) ?? false
            })
    }

    private func apply(_ changes: [ReadyDistribution.Change]) {
        for change in changes { connection(change.connection)?.setReady(change.ready) }
    }

    /// The time without messages after which a connection is idle; go-nsq's `low_rdy_idle_timeout`.
    private static let idleTime = Duration.seconds(10)

    /// The interval at which message timeouts are checked. nsqd does not check them more often either.
    private static let maintenanceInterval = Duration.milliseconds(250)

    /// With more connections than max-in-flight, only some have RDY 1. After this number of maintenance
    /// runs, which is every 5 s, RDY 1 moves to other connections.
    private static let runsPerRotation = 20
}

extension ConsumerEngine: LoopHosted {}

// MARK: - Discovery

extension ConsumerEngine {
    /// Connects to new nsqds, and leaves those that have vanished from all nsqlookupds.
    ///
    /// - Returns: `true` if the consumer has an nsqd.
    private func apply(_ poll: LookupPoll.Result) -> Bool {
        let changes = discovered.apply(poll) { nsqd in
            connections.contains { $0.address == nsqd && $0.takeActivity() }
        }
        for nsqd in changes.added {
            logger.info("nsqlookupd reports nsqd at \(nsqd)")
            connectIfNeeded(to: nsqd)
        }
        for nsqd in changes.removed where !configured.contains(nsqd) {
            logger.info("no nsqlookupd reports nsqd at \(nsqd) anymore; leaving it")
            for connection in connections where connection.address == nsqd { connection.leave() }
        }
        onPoll(poll.nsqds, poll.failures)
        return !connections.isEmpty
    }

    /// Connects to an nsqd, unless there is a connection to it. A connection that is being closed
    /// counts too, because its nsqd would otherwise have two connections of this consumer. When it has
    /// closed, ``connectionDidLeave(_:)`` connects again.
    private func connectIfNeeded(to nsqd: SocketAddress) {
        guard !connections.contains(where: { $0.address == nsqd }) else { return }
        let connection = ConsumerConnection(of: self, nsqd: nsqd)
        connections.append(connection)
        connection.connect()
    }

    /// Removes a connection that has left its nsqd. If an nsqlookupd has reported the nsqd again
    /// meanwhile, the consumer connects to it.
    func connectionDidLeave(_ connection: ConsumerConnection) {
        connections.removeAll { $0 === connection }
        guard !isStopping, discovered.contains(connection.address) else { return }
        connectIfNeeded(to: connection.address)
    }
}

// MARK: - Calls from the connections

extension ConsumerEngine {
    /// Assigns a serial number to an established connection, and then sends the changed RDY counts.
    func connectionDidEstablish(
        _ connection: ConsumerConnection, maxReady: Int, _ setNumber: (Int) -> Void
    ) {
        lastNumber += 1
        setNumber(lastNumber)
        onConnection(connection.address, nil)
        apply(distribution.add(lastNumber, maxReady: maxReady))
        updateDirectWriting()
    }

    func connectionDidEnd(_ connection: ConsumerConnection, number: Int?, _ error: NSQError?) {
        if let number {
            apply(distribution.remove(number))
            onMessagesLost(number, nil)
        }
        if let error { onConnection(connection.address, error) }
        finishStopping()
    }

    /// Raises the RDY count of a connection that was idle.
    func connectionDidBecomeBusy() {
        updateIdleConnections(atNanoseconds: loop.nowNanoseconds)
    }

    var isStopping: Bool { stopCallbacks != nil }

    private func finishStopping() {
        guard let callbacks = stopCallbacks, connections.allSatisfy(\.isUnconnected) else { return }
        maintenanceTimer.close()
        backoffTimer.close()
        stopTimer.close()
        // The closures often retain the engine's owner, which retains the engine. Replacing them ends
        // this reference cycle.
        onBatch = { _ in }
        onMessagesLost = { _, _ in }
        onConnection = { _, _ in }
        onPoll = { _, _ in }
        stopCallbacks = []
        for done in callbacks { done() }
    }
}
