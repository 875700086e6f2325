import InMemoryTracing
import Metrics
import MetricsTestKit
import NSQClient
import NSQTesting
import Testing
import Tracing

/// The metrics and the spans of one exchange.
@Suite(.timeLimit(.minutes(5))) struct `An exchange of messages` {
    @Test func `is counted by swift-metrics and traced by swift-distributed-tracing`() async throws
    {
        let (metrics, tracer) = (Systems.metrics, Systems.tracer)

        try await withBroker { broker in
            let producer = try broker.producer()
            let consumer = try broker.consumer(topic: "observed", channel: "counts")
            try await producer.publish("good", to: "observed")
            try await producer.publish("bad", to: "observed")
            await #expect(throws: NSQError.self) { try await producer.publish("", to: "observed") }
            try await consumer.run { message in
                if message.body == Array("bad".utf8) {
                    Task { await consumer.stop() }
                    throw GiveUp("is bad")
                }
            }
        }

        #expect(try metrics.expectCounter("nsq.producer.published").totalValue >= 2)
        #expect(try metrics.expectCounter("nsq.producer.failed").totalValue >= 1)
        #expect(try metrics.expectTimer("nsq.producer.publish.duration").values.count >= 3)
        let dimensions = [("topic", "observed"), ("channel", "counts")]
        let counters = [("received", 2), ("finished", 2), ("given_up", 1)]
        for (name, count) in counters {
            let counter = try metrics.expectCounter("nsq.consumer.\(name)", dimensions)
            #expect(counter.totalValue == Int64(count), "\(name)")
        }
        let handlers = try metrics.expectTimer("nsq.consumer.handler.duration", dimensions)
        #expect(handlers.values.count == 2)

        let spans = tracer.finishedSpans
        let publishes = spans.filter { $0.operationName == "publish observed" }
        #expect(publishes.count == 3)
        #expect(publishes.filter { !$0.errors.isEmpty }.count == 1)
        #expect(publishes.allSatisfy { $0.kind == .producer })
        let handled = spans.filter { $0.operationName == "process observed" }
        #expect(handled.count == 2)
        #expect(handled.filter { !$0.errors.isEmpty }.count == 1)
        #expect(handled.allSatisfy { $0.kind == .consumer })
    }
}
