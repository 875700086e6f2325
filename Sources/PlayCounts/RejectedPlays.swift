import Logging
import NSQClient
import NSQWire

/// Puts messages that are no plays into a topic of their own, with the reason: none is lost
/// silently, and none stands in the way.
package final class RejectedPlays {
    /// What is appended to the source's topic.
    package static let topicSuffix = ".rejected"
    /// How long a message waits for another try when it could not be put there.
    private static let retryDelay = Duration.seconds(1)

    private let topic: TopicName
    private let producer: ProducerEngine
    private let consumer: ConsumerEngine
    private let logger: Logger

    /// - Returns: `nil` if the topic's name is too long for one with the suffix.
    package init?(
        of topic: TopicName, producer: ProducerEngine, consumer: ConsumerEngine, logger: Logger
    ) {
        guard let rejected = TopicName(topic.text + Self.topicSuffix) else { return nil }
        self.topic = rejected
        self.producer = producer
        self.consumer = consumer
        self.logger = logger
    }

    /// Puts a message away.
    ///
    /// - Parameter group: of the messages that are finished together with it, which waits for it.
    func put(
        _ received: ReceivedMessage, _ message: Message, _ reason: Rejection,
        in group: RejectedGroup
    ) {
        logger.warning("message \(received.id) rejected: \(reason)")
        group.underWay += 1
        let rejected = RejectedMessage(
            id: received.id.text, body: received.body, reason: reason)
        producer.publish(rejected.json, to: topic) { [consumer, logger] error in
            if let error {
                // Not finished, so not lost: it comes again, and is rejected again.
                logger.error("message \(message.id) not put into its topic: \(error)")
                consumer.requeue(message, after: Self.retryDelay)
                group.requeued += 1
            }
            group.oneIsSettled()
        }
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
