import DequeModule
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// A change of the connections of a producer.
package enum ConnectionChange: Hashable, Sendable {
    case established
    /// An established connection has ended. The end after a refused publish is not reported, because
    /// the producer connects again at once.
    case lost
}

/// Publishes to one or several nsqds on an existing loop, without a thread of its own.
///
/// The engine sends publishes up to a window without waiting for responses; a bounded number of further
/// publishes waits for the window or for a connection. When a connection ends, every publish without a
/// response fails, and the error indicates whether nsqd may have accepted the message. The engine sends
/// a message again only if `republishesLostMessages` is set, or if nsqd cannot have executed the
/// publish because it refused an earlier one.
package final class ProducerEngine {
    /// Runs once: with nil when nsqd has responded `OK`, with the error otherwise. If the message
    /// cannot be sent, the closure runs before `publish` returns.
    package typealias Completion = (NSQError?) -> Void

    /// Runs after a connection was established or lost.
    package var onConnectionChange: (ConnectionChange) -> Void = { _ in }

    let loop: Loop
    let logger: Logger
    private let options: Producer.Options
    private var connections: [ProducerConnection] = []
    /// With round robin, the index of the connection that is tried first for the next publish.
    private var nextIndex = 0
    /// The error with which publishes fail while there is no connection.
    private var unreachable: NSQError
    private var waiting: Deque<UnansweredPublish> = []
    /// Runs at the deadline of the first waiting publish.
    private let deadlineTimer: Timer
    private var isStopping = false
    private var stopCallbacks: [() -> Void] = []
    private let stopTimer: Timer

    /// Creates a producer, not started yet, for one nsqd.
    package convenience init(
        on loop: Loop, nsqd address: SocketAddress, options: Producer.Options = .withoutWaiting,
        logger: Logger = Logger(label: "nsq.producer")
    ) {
        self.init(on: loop, nsqds: [address], options: options, logger: logger)
    }

    /// Creates a producer, not started yet, for several nsqds.
    package init(
        on loop: Loop, nsqds addresses: [SocketAddress],
        options: Producer.Options = .withoutWaiting,
        logger: Logger = Logger(label: "nsq.producer")
    ) {
        precondition(!addresses.isEmpty, "a producer has at least one nsqd")
        self.loop = loop
        self.options = options
        self.logger = logger
        deadlineTimer = Timer(on: loop)
        stopTimer = Timer(on: loop)
        unreachable = .unreachable(
            address: "\(addresses[0])", reason: "the first attempt to connect has not ended")
        connections = addresses.map { ProducerConnection(of: self, nsqd: $0, options: options) }
    }

    /// Starts to connect.
    package func start() {
        for connection in connections { connection.connect() }
    }

    /// The number of publishes that are waiting or have no response yet.
    package var pendingCount: Int {
        connections.reduce(waiting.count) { $0 + $1.unansweredCount }
    }

    /// Publishes one message with `PUB`, or with `DPUB` if there is a delay, which is rounded up to
    /// milliseconds.
    ///
    /// - Parameter id: identifies the publish for ``cancel(_:)``.
    package func publish(
        _ body: [UInt8], to topic: TopicName, after delay: Duration? = nil, id: UInt64 = 0,
        _ done: @escaping Completion
    ) {
        guard !body.isEmpty else { return done(.emptyMessage) }
        let content: UnansweredPublish.Content =
            if let delay { .deferred(body, milliseconds: delay.millisecondsRoundedUp) } else {
                .one(body)
            }
        submit(UnansweredPublish(id: id, content, to: topic, done))
    }

    /// Publishes all messages of a batch, or none, with `MPUB`.
    ///
    /// - Parameter id: identifies the publish for ``cancel(_:)``.
    package func publish(
        _ batch: PublishBatch, to topic: TopicName, id: UInt64 = 0, _ done: @escaping Completion
    ) {
        guard batch.isPublishable else { return done(.emptyMessage) }
        submit(UnansweredPublish(id: id, .batch(batch), to: topic, done))
    }

    /// Completes the publish with this ID with the error ``NSQError/Code/cancelled``, if it has no
    /// response yet. A publish that still waits is never sent.
    package func cancel(_ id: UInt64) {
        if let index = waiting.firstIndex(where: { $0.id == id }) {
            waiting.remove(at: index).complete(.cancelled(mayHaveBeenAccepted: false))
        } else {
            _ = connections.contains { $0.cancel(id) }
        }
    }

    /// Stops the producer: it accepts no more messages, waits for the pending responses up to the stop
    /// timeout, and then closes the connections.
    package func stop(_ done: @escaping () -> Void = {}) {
        // The callback retains the engine until it has stopped.
        stopCallbacks.append { withExtendedLifetime(self, done) }
        let isFirst = !isStopping
        isStopping = true
        if isFirst, pendingCount > 0 {
            stopTimer.start(after: options.stopTimeout) { [weak self] in
                self?.abort("no answer within the stop timeout")
            }
        }
        finishStoppingIfDone()
    }

    /// Closes the connections at once. Publishes without a response fail.
    package func abandon(_ done: @escaping () -> Void = {}) {
        stop(done)
        abort("the producer was abandoned")
    }

    private func abort(_ reason: String) {
        for connection in connections { connection.abort(reason) }
        failWaiting { _ in true }
        finishStoppingIfDone()
    }

    private func finishStoppingIfDone() {
        guard isStopping, pendingCount == 0 else { return }
        for connection in connections { connection.drain() }
        guard connections.allSatisfy(\.isIdle) else { return }
        stopTimer.close()
        deadlineTimer.close()
        let callbacks = stopCallbacks
        stopCallbacks = []
        for done in callbacks { done() }
    }
}

// MARK: - Sending

extension ProducerEngine {
    private func submit(_ publication: UnansweredPublish) {
        if isStopping { return publication.done(.stopped) }
        if waiting.isEmpty, let connection = availableConnection {
            return connection.send(publication)
        }
        guard waiting.count < options.maxWaiting else {
            return publication.done(.tooManyWaiting(limit: options.maxWaiting))
        }
        var publication = publication
        if !isConnected {
            guard canWait else { return publication.done(unreachable) }
            publication.deadlineNanoseconds = newDeadline
        }
        waiting.append(publication)
        if !isConnected, waiting.count == 1 { startDeadlineTimer() }
    }

    private func sendWaiting() {
        while !waiting.isEmpty, let connection = availableConnection,
            let next = waiting.popFirst()
        {
            connection.send(next)
        }
    }

    /// The connection for the next publish; nil if it must wait.
    private var availableConnection: ProducerConnection? {
        if connections.count == 1 { return connections[0].canSend ? connections[0] : nil }
        switch options.distribution {
        case .failover:
            guard let first = connections.first(where: \.isEstablished) else { return nil }
            return first.canSend ? first : nil
        case .roundRobin:
            for offset in connections.indices {
                let index = (nextIndex + offset) % connections.count
                guard connections[index].canSend else { continue }
                nextIndex = index + 1
                return connections[index]
            }
            return nil
        }
    }
}

// MARK: - Waiting for a connection

extension ProducerEngine {
    private var isConnected: Bool { connections.contains(where: \.isEstablished) }

    /// `true` if a publish may wait for a connection: for `reconnectTimeout`, or for an attempt in
    /// progress.
    private var canWait: Bool {
        options.reconnectTimeout > .zero || connections.contains { !$0.isIdle }
    }

    private var newDeadline: Int64 {
        // Without a timeout, a publish waits for the connection attempts in progress.
        options.reconnectTimeout > .zero
            ? loop.nowNanoseconds.addingSaturated(options.reconnectTimeout.nanoseconds) : .max
    }

    /// Starts the timer for the first waiting publish, which has the earliest deadline.
    private func startDeadlineTimer() {
        guard let first = waiting.first, first.deadlineNanoseconds < .max else {
            return deadlineTimer.stop()
        }
        let delay = Duration.nanoseconds(first.deadlineNanoseconds - loop.nowNanoseconds)
        deadlineTimer.start(after: max(.zero, delay)) { [weak self] in
            guard let self else { return }
            let now = loop.nowNanoseconds
            failWaiting { $0.deadlineNanoseconds <= now }
            startDeadlineTimer()
            finishStoppingIfDone()
        }
    }

    private func failWaiting(while isFailing: (UnansweredPublish) -> Bool) {
        // A completion can publish again, so the failed publishes are removed before any completion
        // runs.
        let count = waiting.prefix(while: isFailing).count
        let failed = Array(waiting.prefix(count))
        waiting.removeFirst(count)
        for publication in failed { publication.complete(unreachable) }
    }

    /// Sets the deadlines of all waiting publishes after the last connection was lost.
    private func startWaitingForConnection() {
        guard canWait else { return failWaiting { _ in true } }
        let deadline = newDeadline
        for index in waiting.indices {
            waiting[index].deadlineNanoseconds = min(waiting[index].deadlineNanoseconds, deadline)
        }
        startDeadlineTimer()
    }
}

// MARK: - Calls from the connections

extension ProducerEngine {
    func connectionDidEstablish(_ connection: ProducerConnection) {
        logger.debug("connected to nsqd at \(connection.address)")
        sendWaiting()
        for index in waiting.indices { waiting[index].deadlineNanoseconds = .max }
        deadlineTimer.stop()
        onConnectionChange(.established)
    }

    func didReceiveResponse() {
        sendWaiting()
        if isStopping { finishStoppingIfDone() }
    }

    /// `true` until the producer is stopped and no publish is waiting.
    var needsConnections: Bool { !isStopping || !waiting.isEmpty }

    /// Records the reason why an nsqd is unreachable, and puts the publishes that are sent again at the
    /// front of the queue.
    func recordEnd(
        of connection: ProducerConnection, _ error: NSQError,
        sendingAgain publications: Deque<UnansweredPublish>
    ) {
        unreachable = .unreachable(address: "\(connection.address)", reason: error.reason)
        waiting.prepend(contentsOf: publications.filter { !$0.isCancelled })
    }

    /// Sends the waiting publishes on other connections, or lets them wait for a connection. Call it
    /// after ``recordEnd(of:_:sendingAgain:)``.
    func connectionDidEnd() {
        if isConnected { sendWaiting() } else { startWaitingForConnection() }
        finishStoppingIfDone()
    }
}

extension ProducerEngine: LoopHosted {}
