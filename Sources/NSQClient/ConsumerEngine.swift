import Logging
import NSQWire
import UVLoop

/// Consumes a channel from one or several nsqds, on a loop it is given: the consumer without its
/// thread.
///
/// Messages come in batches to `onBatch`, as they were read. Every message wants an answer (finish
/// or requeue) before its timeout; `maxInFlight` bounds how many may be without one.
package final class ConsumerEngine {
    /// Gets the messages. It may answer them right away or later.
    package var onBatch: (MessageBatch) -> Void = { _ in }

    /// Hears of every connection that comes about (nil) or ends; for whoever waits for the first.
    package var onConnection: (SocketAddress, NSQError?) -> Void = { _, _ in }

    package let topic: TopicName
    let loop: Loop
    let options: Consumer.Options
    let role: ClientSession.Role
    let logger: Logger
    private var budget: ReadyBudget
    private var sources: [ConsumerSource] = []
    private let ticker: Timer
    private var ticks = 0
    private var isStarted = false
    private var whenStopped: [() -> Void]?
    /// Connections are numbered, so that an answer cannot go to a later one.
    private var lastConnection = 0

    package init(
        on loop: Loop, topic: TopicName, channel: ChannelName, nsqds addresses: [SocketAddress],
        options: Consumer.Options = .init(), logger: Logger = Logger(label: "nsq.consumer")
    ) {
        self.loop = loop
        self.options = options
        self.logger = logger
        self.topic = topic
        role = .consumer(topic, channel)
        budget = ReadyBudget(maxInFlight: options.maxInFlight)
        ticker = Timer(on: loop)
        sources = addresses.map { ConsumerSource(of: self, nsqd: $0) }
    }

    package func start() {
        precondition(!isStarted, "a consumer starts once")
        isStarted = true
        ticker.start(after: Self.tick, repeating: Self.tick) { [weak self] in self?.tick() }
        for source in sources { source.connect() }
    }

    /// How many messages wait for an answer.
    package var inFlight: Int { sources.reduce(0) { $0 + $1.ledger.messageCount } }

    /// How many messages may wait for an answer, over all connections. 0 pauses the consumer.
    package var maxInFlight: Int {
        get { budget.maxInFlight }
        set { apply(budget.setMaxInFlight(newValue)) }
    }

    /// `FIN` of every message in the batch that has no answer yet.
    ///
    /// When the connection has ended or the timeout is over, nsqd will deliver the messages again,
    /// and there is nothing to do for us.
    package func finish(_ batch: MessageBatch) {
        source(of: batch.connection)?.finish(batch)
    }

    package func finish(_ message: Message) {
        answer(message) { Command.finish($0) }
    }

    /// `REQ`: nsqd delivers again after `delay`, rounded up to milliseconds.
    package func requeue(_ batch: MessageBatch, after delay: Duration) {
        let milliseconds = delay.wholeMilliseconds
        source(of: batch.connection)?.answer(batch) {
            Command.requeue($0, afterMilliseconds: milliseconds)
        }
    }

    package func requeue(_ message: Message, after delay: Duration) {
        let milliseconds = delay.wholeMilliseconds
        answer(message) { Command.requeue($0, afterMilliseconds: milliseconds) }
    }

    /// `TOUCH`: a whole timeout more for every message of the batch that has no answer yet.
    package func touch(_ batch: MessageBatch) {
        source(of: batch.connection)?.touch(batch)
    }

    /// Asks for no more messages, waits until those in flight have their answers or have timed out,
    /// and closes.
    package func stop(_ done: @escaping () -> Void = {}) {
        let isFirst = whenStopped == nil
        // Whoever asked may let go of the engine; it stays until it has stopped.
        whenStopped = (whenStopped ?? []) + [{ withExtendedLifetime(self, done) }]
        if isFirst {
            for source in sources { source.stop() }
        }
        finishStopping()
    }

    /// Closes at once. nsqd delivers what is in flight again when its time is up.
    package func abandon() {
        stop()
        for source in sources { source.abandon() }
    }

    private func answer(_ message: Message, with command: (MessageID) -> Command) {
        source(of: message.place.connection)?.answer(message, with: command)
    }

    private func source(of connection: Int) -> ConsumerSource? {
        sources.first { $0.number == connection }
    }

    private func tick() {
        let now = loop.nowNanoseconds
        for source in sources { source.expire(atNanoseconds: now) }
        ticks += 1
        if ticks % Self.ticksPerRotation == 0 { apply(budget.rotate()) }
    }

    private func apply(_ changes: [ReadyBudget.Change]) {
        for change in changes { source(of: change.connection)?.setReady(change.ready) }
    }

    /// How exactly timeouts are counted; nsqd itself is no more exact than this.
    private static let tick = Duration.milliseconds(250)

    /// 5 s: how long a connection is served when there are more than max-in-flight.
    private static let ticksPerRotation = 20
}

extension ConsumerEngine: Engine {}

// MARK: - What its sources tell

extension ConsumerEngine {
    /// A connection is ready for use; it gets its number, and then its share of RDY.
    func joined(_ source: ConsumerSource, most: Int, _ numbered: (Int) -> Void) {
        lastConnection += 1
        numbered(lastConnection)
        onConnection(source.address, nil)
        apply(budget.join(lastConnection, most: most))
    }

    func left(_ source: ConsumerSource, connection: Int?, _ error: NSQError?) {
        if let connection { apply(budget.leave(connection)) }
        if let error { onConnection(source.address, error) }
        finishStopping()
    }

    var isStopping: Bool { whenStopped != nil }

    private func finishStopping() {
        guard let waiters = whenStopped, sources.allSatisfy(\.isIdle) else { return }
        ticker.close()
        // They often hold whoever holds the engine.
        onBatch = { _ in }
        onConnection = { _, _ in }
        whenStopped = []
        for done in waiters { done() }
    }
}
