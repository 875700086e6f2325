import Logging
import NSQClient
import NSQWire
import UVLoop

/// Puts messages that are no plays into a topic of their own, with the reason, at the nsqd that they
/// came from: none is lost silently, and none stands in the way.
///
/// A message is finished once the topic has it. If the processor ends in between, the message comes
/// again and stands in the topic twice, under the same `message_id`. That is not worth a commit of
/// its own, which would make the moment shorter and not do away with it.
package final class RejectedPlays {
    /// What is appended to the source's topic.
    package static let topicSuffix = ".rejected"
    /// How long a message waits for another try when it could not be put there.
    private static let retryDelay = Duration.seconds(1)

    private let topic: TopicName
    private let consumer: ConsumerEngine
    private let maxAttempts: Int
    private let logger: Logger
    private let connect: (SocketAddress) -> ProducerEngine
    private var outlets: [SocketAddress: Outlet] = [:]

    /// The way to the topic at one nsqd.
    private final class Outlet {
        let producer: ProducerEngine
        /// Less than usual once this nsqd has refused a message for its length: its
        /// `--max-msg-size` is nothing it tells.
        var longestBody = RejectedMessage.longestBody

        init(_ producer: ProducerEngine) {
            self.producer = producer
        }
    }

    /// - Parameters:
    ///   - maxAttempts: of a message that its topic refuses; then it is logged and finished. 0 is no
    ///     limit.
    ///   - connect: makes and starts a producer for an nsqd, when there is something to put there.
    /// - Returns: `nil` if the topic's name is too long for one with the suffix.
    package init?(
        of topic: TopicName, consumer: ConsumerEngine, maxAttempts: Int = 0, logger: Logger,
        connect: @escaping (SocketAddress) -> ProducerEngine
    ) {
        guard let rejected = TopicName(topic.text + Self.topicSuffix) else { return nil }
        self.topic = rejected
        self.consumer = consumer
        self.maxAttempts = maxAttempts
        self.logger = logger
        self.connect = connect
    }

    /// Puts a message away.
    ///
    /// - Parameter group: of the messages that are finished together with it, which waits for it.
    func put(
        _ received: ReceivedMessage, _ message: Message, from nsqd: SocketAddress,
        _ reason: Rejection, in group: RejectedGroup
    ) {
        logger.warning("message \(received.id) rejected: \(reason)")
        group.underWay += 1
        let outlet = outlet(nsqd)
        let bodyBytes = min(received.body.count, outlet.longestBody)
        let rejected = RejectedMessage(
            id: received.id.text, body: received.body, reason: reason, longestBody: bodyBytes)
        outlet.producer.publish(rejected.json, to: topic) { [weak self] error in
            if let self, let error {
                notPut(message, rejected, bodyBytes, error, outlet, group)
            }
            group.oneIsSettled()
        }
    }

    /// Lets go of the connections.
    func close() {
        for outlet in outlets.values { outlet.producer.stop() }
        outlets = [:]
    }

    private func outlet(_ nsqd: SocketAddress) -> Outlet {
        if let outlet = outlets[nsqd] { return outlet }
        let outlet = Outlet(connect(nsqd))
        outlets[nsqd] = outlet
        return outlet
    }

    /// Not finished, so not lost: it comes again, and is rejected again. That goes on as long as the
    /// nsqd cannot be reached, but not for ever against its will.
    private func notPut(
        _ message: Message, _ rejected: RejectedMessage, _ bodyBytes: Int, _ error: NSQError,
        _ outlet: Outlet, _ group: RejectedGroup
    ) {
        if error.isRefusal, maxAttempts > 0, message.attempts > maxAttempts {
            let text = String(decoding: rejected.json.prefix(Self.longestLogged), as: UTF8.self)
            return logger.critical("message \(message.id) given up: \(error): \(text)")
        }
        if error.isForLength { outlet.longestBody = min(outlet.longestBody, bodyBytes / 8) }
        logger.error("message \(message.id) not put into its topic: \(error)")
        consumer.requeue(message, after: Self.retryDelay)
        group.requeued += 1
    }

    private static let longestLogged = 4096
}

extension NSQError {
    fileprivate var isRefusal: Bool {
        if case .refused = self { true } else { false }
    }

    fileprivate var isForLength: Bool {
        guard case .refused(_, let answer) = self else { return false }
        return ProtocolError.Code(rawValue: String(answer.prefix { $0 != " " })) == .badMessage
    }
}

/// The rejected among the messages of one batch.
final class RejectedGroup {
    fileprivate var underWay = 0
    /// How many could not be put into their topic, and will come again.
    fileprivate(set) var requeued = 0
    private var waiting: (() -> Void)?

    /// Calls `body` once each of them is in its topic, or will come again.
    func whenSettled(_ body: @escaping () -> Void) {
        if underWay == 0 { body() } else { waiting = body }
    }

    fileprivate func oneIsSettled() {
        underWay -= 1
        guard underWay == 0, let body = waiting else { return }
        waiting = nil
        body()
    }
}
