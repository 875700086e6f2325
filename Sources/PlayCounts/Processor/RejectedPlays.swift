import Logging
import NSQClient
import NSQWire
import UVLoop

/// Publishes messages that are not plays, with the reason, to a separate topic at the nsqd that
/// delivered them. So such messages are neither lost nor redelivered forever.
///
/// A rejected message is finished after its publish. If the processor ends in between, NSQ
/// redelivers the message, and it is published again with the same `message_id`.
package final class RejectedPlays {
    /// The suffix of the topic for rejected messages. It is appended to the name of the source
    /// topic.
    package static let topicSuffix = ".rejected"
    /// The delay of the redelivery after a failed publish.
    private static let retryDelay = Duration.seconds(1)

    private let topic: TopicName
    private let consumer: ConsumerEngine
    private let maxAttempts: Int
    private let logger: Logger
    private let connect: (SocketAddress) -> ProducerEngine
    private var destinations: [SocketAddress: Destination] = [:]

    /// The topic of rejected messages at one nsqd.
    private final class Destination {
        let producer: ProducerEngine
        /// The maximum length of a body in bytes. It is reduced when the nsqd rejects a message as
        /// too long: nsqd does not report its `--max-msg-size`, so the limit is found by trial.
        var longestBody = RejectedMessage.longestBody

        init(_ producer: ProducerEngine) {
            self.producer = producer
        }
    }

    /// The topic of rejected messages: the name with the suffix, which precedes `#ephemeral`.
    ///
    /// - Returns: `nil` if the name is too long.
    package static func rejectedTopic(of topic: TopicName) -> TopicName? {
        let ephemeral = "#ephemeral"
        guard topic.text.hasSuffix(ephemeral) else { return TopicName(topic.text + topicSuffix) }
        return TopicName(topic.text.dropLast(ephemeral.count) + topicSuffix + ephemeral)
    }

    /// - Parameters:
    /// - maxAttempts: the maximum number of delivery attempts of a message that its nsqd refuses to
    ///   publish. After the last one, the message is logged and finished. 0 means no limit.
    /// - connect: starts a producer for an nsqd. It is called at the first rejection from that
    ///   nsqd.
    /// - Returns: `nil` if the topic's name with the suffix is too long.
    package init?(
        of topic: TopicName, consumer: ConsumerEngine, maxAttempts: Int = 0, logger: Logger,
        connect: @escaping (SocketAddress) -> ProducerEngine
    ) {
        guard let rejected = Self.rejectedTopic(of: topic) else { return nil }
        self.topic = rejected
        self.consumer = consumer
        self.maxAttempts = maxAttempts
        self.logger = logger
        self.connect = connect
    }

    /// Publishes a rejected message, and then finishes it. If the publish fails, the message is
    /// requeued.
    ///
    /// - Parameter completion: called with `true` if the message was finished.
    func publish(
        _ received: ReceivedMessage, _ message: Message, from nsqd: SocketAddress,
        _ reason: Rejection, completion: @escaping (Bool) -> Void
    ) {
        logger.warning("message \(received.id) rejected: \(reason)")
        let destination = destination(nsqd)
        let bodyBytes = min(received.body.count, destination.longestBody)
        let rejected = RejectedMessage(
            id: received.id.text, body: received.body, reason: reason, longestBody: bodyBytes)
        destination.producer.publish(rejected.json, to: topic) { [weak self] error in
            guard let self else { return }
            if let error, !isDiscarded(message, rejected, error) {
                publishFailed(message, bodyBytes, error, destination)
                completion(false)
            } else {
                consumer.finish(message)
                completion(true)
            }
        }
    }

    /// Closes the connections.
    func close() {
        for destination in destinations.values { destination.producer.stop() }
        destinations = [:]
    }

    private func destination(_ nsqd: SocketAddress) -> Destination {
        if let destination = destinations[nsqd] { return destination }
        let destination = Destination(connect(nsqd))
        destinations[nsqd] = destination
        return destination
    }

    /// Returns `true` if the nsqd has refused the publish so often that the message is only logged.
    private func isDiscarded(
        _ message: Message, _ rejected: RejectedMessage, _ error: NSQError
    ) -> Bool {
        guard error.isRefusal, maxAttempts > 0, message.attempts > maxAttempts else { return false }
        let text = String(decoding: rejected.json.prefix(Self.longestLogged), as: UTF8.self)
        logger.critical("message \(message.id) discarded: \(error): \(text)")
        return true
    }

    /// Requeues the message. After its redelivery, the publish is attempted again, without a limit
    /// while the nsqd is unreachable.
    private func publishFailed(
        _ message: Message, _ bodyBytes: Int, _ error: NSQError, _ destination: Destination
    ) {
        if error.isTooLong {
            destination.longestBody = min(destination.longestBody, bodyBytes / 8)
        }
        logger.error("cannot publish rejected message \(message.id): \(error)")
        consumer.requeue(message, after: Self.retryDelay)
    }

    private static let longestLogged = 4096
}

extension NSQError {
    fileprivate var isRefusal: Bool { code == .refused || isTooLong }

    fileprivate var isTooLong: Bool { code == .messageTooBig || refusal == .badMessage }
}
