import Logging
import NSQClient
import NSQWire
import UVLoop

/// Publishes each call as a message to a topic.
///
/// NSQ may deliver a message twice, and may deliver messages in any order. So consumers of the
/// topic must tolerate a repeated total, and an older total after a newer one.
package final class NSQSink: Sink {
    private let topic: TopicName
    private let producer: ProducerEngine

    /// Creates a sink, and starts to connect.
    ///
    /// - Parameter client: the options of the connection.
    package init(
        to nsqd: SocketAddress, topic: TopicName, client: ClientOptions = ClientOptions(),
        on loop: Loop, logger: Logger
    ) {
        self.topic = topic
        var options = Producer.Options.withoutWaiting
        options.client = client
        producer = ProducerEngine(on: loop, nsqd: nsqd, options: options, logger: logger)
        producer.start()
    }

    package func send(
        _ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void
    ) {
        var body: [UInt8] = []
        call.appendJSON(to: &body)
        producer.publish(body, to: topic) { error in
            guard let error else { return completion(.success(())) }
            let isRefused = error.code == .refused
            completion(.failure(isRefused ? .refused(error.reason) : .unreachable("\(error)")))
        }
    }

    package func close() {
        producer.stop()
    }
}
