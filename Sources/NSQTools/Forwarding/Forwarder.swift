import Logging
import NSQClient

/// Publishes the messages of one consumer to other nsqds. A message is finished only after an nsqd has
/// acknowledged its copy.
package struct Forwarder: Sendable {
    /// The consumer of the messages.
    package let consumer: Consumer
    private let producer: Producer
    private let topic: String
    private let filter: JSONFilter
    private let logger: Logger

    /// Creates a forwarder. ``run(concurrency:retry:)`` starts it.
    ///
    /// - Parameters:
    ///   - consumer: the consumer of the messages.
    ///   - producer: the producer that publishes the copies.
    ///   - topic: the topic of the copies.
    ///   - filter: the filter that selects messages and their fields.
    package init(
        _ consumer: Consumer, to topic: String, _ producer: Producer, _ filter: JSONFilter,
        logger: Logger
    ) {
        self.consumer = consumer
        self.topic = topic
        self.producer = producer
        self.filter = filter
        self.logger = logger
    }

    /// The error for a message that lacks the required field. Like after a failed publish, the
    /// message is delivered again.
    private struct MissingField: Error, CustomStringConvertible {
        var description: String { "missing field to check required value" }
    }

    /// Forwards messages until the consumer is stopped.
    ///
    /// - Parameters:
    ///   - concurrency: the maximum number of copies that are published and not yet acknowledged.
    ///   - retry: when and how often a message is delivered again after a failure.
    package func run(concurrency: Int, retry: RetryPolicy) async throws(NSQError) {
        try await consumer.run(concurrency: concurrency, retry: retry) { message in
            switch filter.decide(message.body) {
            case .pass(let body): try await producer.publish(body, to: topic)
            case .discard: break
            case .malformed:
                logger.error(
                    "Unable to decode json: \(String(decoding: message.body, as: UTF8.self))")
            case .missingField: throw MissingField()
            }
        }
    }
}
