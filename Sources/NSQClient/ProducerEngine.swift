import DequeModule
import Logging
import NSQWire
import UVLoop

/// Publishes to one nsqd, on a loop it is given: the producer without its thread.
///
/// Publishes are pipelined, up to a window; behind it some may wait. nsqd answers in order. When a
/// connection ends, everything that has no answer fails, and says whether it may have been
/// published; nothing is ever sent twice. Until the connection is back, publishing fails at once.
package final class ProducerEngine {
    /// Called with nil when nsqd has answered `OK`. It may be called before `publish` returns, when
    /// it is clear at once that nothing can be sent.
    package typealias Completion = (NSQError?) -> Void

    private struct Publication {
        enum Content {
            case one([UInt8])
            case deferred([UInt8], milliseconds: Int)
            case batch(PublishBatch)
        }

        let topic: TopicName
        let content: Content
        let done: Completion
    }

    private struct Unanswered {
        let byteCount: Int
        let done: Completion
    }

    private let loop: Loop
    private let address: SocketAddress
    private let options: Producer.Options
    private let logger: Logger
    private let redial: Redial
    private var connection: Connection?
    /// Why there is no connection now, for what cannot be sent.
    private var notSent: NSQError
    private var waiting: Deque<Publication> = []
    // INVARIANT: unansweredBytes is the sum over `unanswered`.
    private var unanswered: Deque<Unanswered> = []
    private var unansweredBytes = 0
    private var lastTopic: TopicName?
    private var lastLine: [UInt8] = []
    private var isStopping = false
    private var whenStopped: [() -> Void] = []
    private var stopLimit: Timer?

    package init(
        on loop: Loop, nsqd address: SocketAddress, options: Producer.Options = .init(),
        logger: Logger = Logger(label: "nsq.producer")
    ) {
        self.loop = loop
        self.address = address
        self.options = options
        self.logger = logger
        redial = Redial(on: loop, options: options.client)
        notSent = .unreachable(address: "\(address)", reason: "not started")
    }

    package func start() {
        connect()
    }

    /// How many publishes have been taken and not completed.
    package var underWay: Int { waiting.count + unanswered.count }

    /// `PUB`, or `DPUB` when there is a delay (rounded up to milliseconds).
    package func publish(
        _ body: [UInt8], to topic: TopicName, after delay: Duration? = nil,
        _ done: @escaping Completion
    ) {
        guard !body.isEmpty else { return done(.emptyMessage) }
        let content: Publication.Content =
            if let delay { .deferred(body, milliseconds: delay.wholeMilliseconds) } else {
                .one(body)
            }
        take(Publication(topic: topic, content: content, done: done))
    }

    /// `MPUB`: all of the batch or nothing.
    package func publish(
        _ batch: PublishBatch, to topic: TopicName, _ done: @escaping Completion
    ) {
        guard batch.isPublishable else { return done(.emptyMessage) }
        take(Publication(topic: topic, content: .batch(batch), done: done))
    }

    /// Takes no more, waits for the answers that are due (at most the stop timeout), and closes.
    package func stop(_ done: @escaping () -> Void = {}) {
        // Whoever asked may let go of the engine; it stays until it has stopped.
        whenStopped.append { withExtendedLifetime(self, done) }
        let isFirst = !isStopping
        isStopping = true
        if connection == nil { return finishStopping() }
        guard isFirst else { return }
        if underWay == 0 {
            connection?.drain()
        } else {
            let limit = Timer(on: loop)
            stopLimit = limit
            limit.start(after: options.stopTimeout) { [weak self] in
                self?.connection?.fail("no answer within the stop timeout")
            }
        }
    }

    /// Closes at once. What has no answer fails.
    package func abandon() {
        stop()
        connection?.fail("the producer was let go")
    }

    private func take(_ publication: Publication) {
        if isStopping { return publication.done(.stopped) }
        guard connection != nil else { return publication.done(notSent) }
        if waiting.isEmpty, mayPublish {
            publish(publication)
        } else if waiting.count < options.mostWaiting {
            waiting.append(publication)
        } else {
            publication.done(.tooManyWaiting(limit: options.mostWaiting))
        }
    }

    private var mayPublish: Bool {
        connection?.isEstablished == true && unanswered.count < options.window
            && unansweredBytes < options.windowBytes
    }

    private func publish(_ publication: Publication) {
        connection?.write { out in
            let start = out.count
            let topic = publication.topic
            switch publication.content {
            case .one(let body):
                out.append(contentsOf: publishLine(topic))
                out.append(bigEndian: Int32(body.count))
                out.append(contentsOf: body)
            case .deferred(let body, let milliseconds):
                Command.deferredPublish(topic, afterMilliseconds: milliseconds)
                    .append(body: body, to: &out)
            case .batch(let batch): batch.append(to: &out, topic: topic)
            }
            let byteCount = out.count - start
            unansweredBytes += byteCount
            unanswered.append(Unanswered(byteCount: byteCount, done: publication.done))
        }
    }

    /// The line of a PUB, kept for the next one: most producers have one topic, and writing the
    /// line out costs as much as all the rest of a PUB.
    private func publishLine(_ topic: TopicName) -> [UInt8] {
        if topic != lastTopic {
            lastTopic = topic
            lastLine = []
            Command.publish(topic).append(to: &lastLine)
        }
        return lastLine
    }

    private func publishWaiting() {
        while mayPublish, let next = waiting.popFirst() { publish(next) }
    }

    private func connect() {
        let connection = Connection(
            on: loop, to: address, as: .producer, identify: Identify(for: options.client),
            options: options.client, owner: self)
        self.connection = connection
        connection.start()
    }

    private func finishStopping() {
        redial.close()
        stopLimit?.close()
        stopLimit = nil
        let waiters = whenStopped
        whenStopped = []
        for done in waiters { done() }
    }
}

extension ProducerEngine: Engine {}

extension ProducerEngine: ConnectionOwner {
    func connectionEstablished(_ connection: Connection) {
        redial.succeeded()
        logger.debug("connected to nsqd at \(address)")
        publishWaiting()
    }

    func connection(_ connection: Connection, heard event: ClientSession.Event) {
        guard let oldest = unanswered.popFirst() else {
            return connection.fail("answered what was not asked: \(event)")
        }
        unansweredBytes -= oldest.byteCount
        guard case .publishRefused(let answer) = event else {
            oldest.done(nil)
            publishWaiting()
            if isStopping, underWay == 0 { connection.drain() }
            return
        }
        oldest.done(.refused(address: "\(address)", answer: answer))
        connection.fail("closed after \(answer)")
    }

    func connection(_ connection: Connection, received offsets: [UInt32], in block: ReadBlock) {
        connection.fail("sent messages to a producer")
    }

    func connectionEnded(_ connection: Connection, _ error: NSQError?) {
        self.connection = nil
        let error = error ?? .stopped
        notSent = .unreachable(address: "\(address)", reason: error.reason)
        let cut = unanswered
        let unsent = waiting
        unanswered = []
        unansweredBytes = 0
        waiting = []
        if !isStopping {
            let pause = redial.afterPause { [weak self] in self?.connect() }
            logger.warning("\(error); next attempt in \(pause)")
        }
        for publication in cut { publication.done(error) }
        for publication in unsent { publication.done(notSent) }
        if isStopping { finishStopping() }
    }
}

extension NSQError {
    /// What happened, without the address.
    fileprivate var reason: String {
        switch self {
        case .unreachable(_, let reason), .connectionLost(_, let reason): reason
        case .refused(_, let answer): answer
        default: description
        }
    }
}

extension Duration {
    /// Rounded up, so that a delay is never shorter than asked for; negative is none.
    var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        let partial = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return max(0, Int(seconds) * 1000 + Int(partial))
    }
}

extension Identify {
    init(for options: ClientOptions) {
        self.init()
        clientID = options.clientID
        hostname = options.hostname
        userAgent = options.userAgent
        featureNegotiation = true
        heartbeatInterval = options.heartbeatInterval.wholeMilliseconds
    }
}
