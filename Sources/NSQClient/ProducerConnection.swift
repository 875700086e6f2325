import DequeModule
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// A producer's connection to one nsqd, which reconnects after a delay. It holds the publishes that
/// were sent and have no response; nsqd responds in order.
final class ProducerConnection {
    let address: SocketAddress
    /// The number of publishes without a response.
    var unansweredCount: Int { unanswered.count }

    private unowned let producer: ProducerEngine
    private let options: Producer.Options
    private let reconnects: ReconnectSchedule
    private var connection: Connection?
    // INVARIANT: unansweredBytes is the sum of `byteCount` over `unanswered`.
    private var unanswered: Deque<UnansweredPublish> = []
    private var unansweredBytes = 0
    /// The start of the wait for the next response: the time of the last response, or of a publish that
    /// was sent while no other waited for a response.
    private var waitsSince = MonotonicInstant.start
    /// Runs while publishes wait for a response. It is not restarted for each response, because a
    /// restart takes more time than all other work for a response.
    private let responseTimer: Timer
    private var isTimerRunning = false
    private var hasTimedOut = false
    private var wasEstablished = false
    private var limits = PublishSizeLimits()
    /// `true` after nsqd has refused a publish, until the connection has ended. nsqd does not execute
    /// the commands after the refused one.
    private var hasRefused = false
    /// The topic of the last PUB and the encoded command line. The line is cached because most
    /// producers have one topic, and encoding the line takes as much time as the rest of a PUB.
    private var lastTopic: (name: TopicName, line: [UInt8])?

    init(of producer: ProducerEngine, nsqd address: SocketAddress, options: Producer.Options) {
        self.producer = producer
        self.address = address
        self.options = options
        responseTimer = Timer(on: producer.loop)
        reconnects = ReconnectSchedule(on: producer.loop, options: options.client)
    }

    /// `true` while there is neither a connection nor a connection attempt.
    var isIdle: Bool { connection == nil }

    var isEstablished: Bool { connection?.isEstablished == true && !hasRefused }

    /// `true` if the window has space for another publish.
    var canSend: Bool {
        isEstablished && unanswered.count < options.window
            && unansweredBytes < options.windowBytes
    }

    func connect() {
        let connection = Connection(
            on: producer.loop, to: address, as: .producer,
            identify: Identify(for: options.client), options: options.client, delegate: self)
        self.connection = connection
        connection.start()
    }

    /// Connects again: at once after a refused publish, and after a delay otherwise.
    private func reconnect(after error: NSQError, isRefusal: Bool) {
        if isRefusal {
            producer.logger.warning("\(error); connecting again")
            return connect()
        }
        let delay = reconnects.scheduleAttempt { [weak self] in self?.connect() }
        producer.logger.warning("\(error); next attempt in \(delay)")
    }

    /// Sends a publish, or completes it with an error if it exceeds a limit of nsqd.
    func send(_ publication: UnansweredPublish) {
        if let error = limits.error(for: publication.content, at: address) {
            return publication.complete(error)
        }
        if unanswered.isEmpty { startWaiting() }
        connection?.write { out in
            let start = out.count
            append(publication, to: &out)
            var sent = publication
            sent.byteCount = out.count - start
            unansweredBytes += sent.byteCount
            unanswered.append(sent)
        }
    }

    private func startWaiting() {
        waitsSince = producer.loop.instant
        if !isTimerRunning { startResponseTimer(after: options.responseTimeout) }
    }

    private func startResponseTimer(after delay: Duration) {
        isTimerRunning = true
        responseTimer.start(after: delay) { [weak self] in
            guard let self else { return }
            isTimerRunning = false
            guard !unanswered.isEmpty else { return }
            let waited = producer.loop.instant - waitsSince
            guard waited >= options.responseTimeout else {
                return startResponseTimer(after: options.responseTimeout - waited)
            }
            hasTimedOut = true
            connection?.fail("no answer within \(options.responseTimeout)")
        }
    }

    /// Completes a sent publish with an error, without waiting for nsqd's response.
    ///
    /// - Returns: `true` if the publish was sent to this nsqd and has no response yet.
    func cancel(_ id: UInt64) -> Bool {
        guard let index = unanswered.firstIndex(where: { $0.id == id && !$0.isCancelled }) else {
            return false
        }
        let publication = unanswered[index]
        unanswered[index].isCancelled = true
        publication.complete(.cancelled(mayHaveBeenAccepted: true))
        return true
    }

    /// Ends the connection when nsqd has received all commands, and cancels the next attempt.
    func drain() {
        reconnects.close()
        responseTimer.close()
        connection?.drain()
    }

    /// Ends the connection at once, and cancels the next attempt.
    func abort(_ reason: String) {
        reconnects.close()
        responseTimer.close()
        connection?.fail(reason)
    }

    private func append(_ publication: UnansweredPublish, to out: inout [UInt8]) {
        switch publication.content {
        case .one(let body):
            out.append(contentsOf: publishLine(publication.topic))
            out.append(bigEndian: Int32(body.count))
            out.append(contentsOf: body)
        case .deferred(let body, let milliseconds):
            Command.deferredPublish(publication.topic, afterMilliseconds: milliseconds)
                .append(body: body, to: &out)
        case .batch(let batch): batch.append(to: &out, topic: publication.topic)
        }
    }

    private func publishLine(_ topic: TopicName) -> [UInt8] {
        if let lastTopic, lastTopic.name == topic { return lastTopic.line }
        var line: [UInt8] = []
        Command.publish(topic).append(to: &line)
        lastTopic = (topic, line)
        return line
    }
}

// A completion can release the last reference to the producer, so each method retains the producer.
extension ProducerConnection: ConnectionDelegate {
    func connectionDidEstablish(_ connection: Connection) {
        let producer = producer
        reconnects.reset()
        wasEstablished = true
        connection.logChangedSettings(to: producer.logger)
        producer.connectionDidEstablish(self)
    }

    func connection(_ connection: Connection, didReceive event: ClientSession.Event) {
        let producer = producer
        defer { withExtendedLifetime(producer) {} }
        guard let oldest = unanswered.popFirst() else {
            return connection.fail("sent an unexpected response: \(event)")
        }
        unansweredBytes -= oldest.byteCount
        waitsSince = producer.loop.instant
        guard case .publishRefused(let response) = event else {
            oldest.complete(nil)
            return producer.didReceiveResponse()
        }
        let error = NSQError.refused(address: "\(address)", response: response)
        hasRefused = true
        limits.learn(from: error)
        oldest.complete(error)
        connection.fail("closed after \(response)")
    }

    func connection(
        _ connection: Connection, didReceiveMessagesAt offsets: [UInt32], in buffer: ReceiveBuffer
    ) {
        connection.fail("sent messages to a producer")
    }

    func connectionDidEnd(_ connection: Connection, _ error: NSQError?) {
        let producer = producer
        self.connection = nil
        let error = error ?? .stopped
        let isRefusal = hasRefused
        let lost = removeLost()
        let sendsAgain = isRefusal || options.republishesLostMessages && !hasTimedOut
        hasTimedOut = false
        let isLost = wasEstablished && !isRefusal
        wasEstablished = false
        producer.recordEnd(of: self, error, sendingAgain: sendsAgain ? lost : [])
        if producer.needsConnections { reconnect(after: error, isRefusal: isRefusal) }
        if !sendsAgain { for publication in lost { publication.complete(error) } }
        producer.connectionDidEnd()
        if isLost { producer.onConnectionChange(.lost) }
    }

    /// Removes and returns the publishes without a response, after the connection has ended.
    private func removeLost() -> Deque<UnansweredPublish> {
        var lost = unanswered
        unanswered = []
        unansweredBytes = 0
        responseTimer.stop()
        isTimerRunning = false
        if !hasRefused {
            // A restarted nsqd may have other limits.
            limits = PublishSizeLimits()
            for index in lost.indices { lost[index].mayHaveBeenAccepted = true }
        }
        hasRefused = false
        return lost
    }
}
