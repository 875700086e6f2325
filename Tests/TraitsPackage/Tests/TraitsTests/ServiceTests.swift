import Logging
import NSQBroker
import NSQClient
import NSQTesting
import ServiceLifecycle
import Testing

@Suite(.timeLimit(.minutes(5))) struct `A service group` {
    @Test func `runs a broker, a producer and a consumer, and shuts them down gracefully`()
        async throws
    {
        let broker = try await EmbeddedBroker.start()
        let producer = try Producer(nsqd: broker.tcpAddress)
        let consumer = try Consumer(topic: "plays", channel: "counts", nsqds: [broker.tcpAddress])
        let (bodies, received) = AsyncStream.makeStream(of: [UInt8].self)
        let group = ServiceGroup(
            services: [
                broker, producer,
                ConsumerService(consumer, concurrency: 2) { received.yield($0.body) },
            ], logger: Logger(label: "test"))
        let run = Task { try await group.run() }
        try await producer.publish("play", to: "plays")
        for await body in bodies {
            #expect(body == Array("play".utf8))
            break
        }
        await group.triggerGracefulShutdown()
        try await run.value
        await #expect(throws: NSQError.self) { try await producer.publish("late", to: "plays") }
        #expect(await broker.statistics().topics.isEmpty, "a stopped broker has no statistics")
    }

    @Test func `ends a consumer whose task is cancelled`() async throws {
        try await withBroker { broker in
            let consumer = try broker.consumer(topic: "plays", channel: "counts")
            let service = ConsumerService(consumer) { _ in }
            let run = Task { try await service.run() }
            try await consumer.connected()
            run.cancel()
            let error = await #expect(throws: NSQError.self) { try await run.value }
            #expect(error?.code == .cancelled)
        }
    }
}
