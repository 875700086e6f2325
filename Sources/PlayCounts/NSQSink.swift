import Logging
import NSQClient
import NSQWire
import UVLoop

/// Publishes each call as a message to a topic.
///
/// Whoever reads it has to bear a total that comes again, or after a newer one: NSQ delivers at
/// least once, and in no order.
package final class NSQSink: Sink {
    private let topic: TopicName
    private let producer: ProducerEngine

    package init(to nsqd: SocketAddress, topic: TopicName, on loop: Loop, logger: Logger) {
        self.topic = topic
        producer = ProducerEngine(on: loop, nsqd: nsqd, logger: logger)
        producer.start()
    }

    package func send(
        _ call: Call, whenAnswered answer: @escaping (Result<Void, SinkError>) -> Void
    ) {
        var body: [UInt8] = []
        call.appendJSON(to: &body)
        producer.publish(body, to: topic) { error in
            switch error {
            case nil: answer(.success(()))
            case .refused(_, let words): answer(.failure(.refused(words)))
            case let error?: answer(.failure(.unreachable("\(error)")))
            }
        }
    }

    package func close() {
        producer.stop()
    }
}
