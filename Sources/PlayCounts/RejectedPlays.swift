import Foundation
import Logging
import NSQClient
import NSQWire

/// Puts messages that are no plays into a topic of their own, with the reason: none is lost
/// silently, and none stands in the way.
package final class RejectedPlays {
    /// What is appended to the source's topic.
    package static let topicSuffix = ".rejected"
    /// A longer body is cut, so that it fits into a message beside what is said of it.
    package static let longestBody = 256 << 10
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
        let rejected = RejectedMessage(received, reason)
        producer.publish(rejected.json, to: topic) { [consumer, logger] error in
            if let error {
                // Not finished, so not lost: it comes again, and is rejected again.
                logger.error("message \(message.id) not put into its topic: \(error)")
                consumer.requeue(message, after: Self.retryDelay)
            }
            group.oneIsSafe()
        }
    }
}

/// The rejected among the messages of one batch.
final class RejectedGroup {
    fileprivate var underWay = 0
    private var waiting: (() -> Void)?

    /// Calls `body` once each of them is in its topic, or will come again.
    func whenSafe(_ body: @escaping () -> Void) {
        if underWay == 0 { body() } else { waiting = body }
    }

    fileprivate func oneIsSafe() {
        underWay -= 1
        guard underWay == 0, let body = waiting else { return }
        waiting = nil
        body()
    }
}

/// What stands in the topic of the rejected: one JSON object a message.
private struct RejectedMessage: Encodable {
    var reason: String
    var description: String
    var messageID: String
    var bodyBytes: Int
    /// The body if it is text, or its bytes in base 64 if it is not; the beginning of a long one.
    var body: String?
    var bodyBase64: String?
    var isCut: Bool?

    enum CodingKeys: String, CodingKey {
        case reason, description, body
        case messageID = "message_id"
        case bodyBytes = "body_bytes"
        case bodyBase64 = "body_base64"
        case isCut = "is_cut"
    }

    init(_ message: ReceivedMessage, _ reason: Rejection) {
        self.reason = reason.rawValue
        description = "\(reason)"
        messageID = message.id.text
        bodyBytes = message.body.count
        let kept = message.body.prefix(RejectedPlays.longestBody)
        isCut = kept.count < message.body.count ? true : nil
        body = String(validating: kept, as: UTF8.self)
        if body == nil { bodyBase64 = Data(kept).base64EncodedString() }
    }

    var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else {
            preconditionFailure("strings, numbers and flags can be written as JSON")
        }
        return Array(data)
    }
}
