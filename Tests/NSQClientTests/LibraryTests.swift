import NSQBroker
import NSQClient
import Testing

/// The public library, on threads of its own, against the embedded broker.
// All tests share two threads where there are two processors: a test that awaits much waits long.
@Suite(.timeLimit(.minutes(5))) struct `The public library` {
    @Test func `publishes and consumes over threads`() async throws {
        let broker = try await EmbeddedBroker.start()
        let producer = try Producer(nsqd: broker.tcpAddress)
        let consumer = try Consumer(
            topic: "plays", channel: "counts", nsqds: [broker.tcpAddress])
        try await consumer.connected()

        try await producer.publish("alone".utf8, to: "plays")
        try await producer.publish("later".utf8, to: "plays", after: .milliseconds(10))
        var batch = PublishBatch()
        for number in 0..<1000 { batch.append("play \(number)".utf8) }
        try await producer.publish(batch, to: "plays")
        try await withThrowingTaskGroup { group in
            for number in 1000..<1200 {
                group.addTask { try await producer.publish("play \(number)".utf8, to: "plays") }
            }
            try await group.waitForAll()
        }

        var bodies: Set<String> = []
        for await batch in consumer.batches {
            for message in batch {
                bodies.insert(message.withBody { String(decoding: $0, as: UTF8.self) })
            }
            consumer.finish(batch)
            if bodies.count == 1202 { break }
        }
        #expect(bodies == Set((0..<1200).map { "play \($0)" } + ["alone", "later"]))

        await consumer.stop()
        await producer.stop()
        let channel = await broker.statistics().topics[0].channels[0]
        #expect(channel.inFlightCount == 0)
        #expect(channel.depth == 0)
        #expect(channel.requeueCount + channel.timeoutCount == 0)
        await broker.stop()
    }

    @Test func `has a message that was requeued come again`() async throws {
        let broker = try await EmbeddedBroker.start()
        let producer = try Producer(nsqd: broker.tcpAddress)
        let consumer = try Consumer(topic: "plays", channel: "counts", nsqds: [broker.tcpAddress])
        try await producer.publish("play".utf8, to: "plays")
        var attempts: [Int] = []
        for await batch in consumer.batches {
            attempts += batch.map(\.attempts)
            if attempts.count < 3 { consumer.requeue(batch) } else { break }
        }
        #expect(attempts == [1, 2, 3])
        await producer.stop()
        await broker.stop()
    }

    @Test func `refuses names and addresses that are none before anything is sent`() async throws {
        #expect(throws: NSQError.invalidAddress("nowhere")) { try Producer(nsqd: "nowhere") }
        #expect(throws: NSQError.invalidTopic("no topic")) {
            try Consumer(topic: "no topic", channel: "c", nsqds: [])
        }
        #expect(throws: NSQError.invalidChannel("")) {
            try Consumer(topic: "t", channel: "", nsqds: [])
        }
        let producer = try Producer(nsqd: "127.0.0.1:1")
        await #expect(throws: NSQError.invalidTopic("a b")) {
            try await producer.publish([1], to: "a b")
        }
        await #expect(throws: NSQError.emptyMessage) { try await producer.publish([], to: "t") }
        await producer.stop()
    }

    @Test func `says which nsqd cannot be reached`() async throws {
        let refused = NSQError.unreachable(
            address: "127.0.0.1:1", reason: "connection refused (ECONNREFUSED)")
        let producer = try Producer(nsqd: "127.0.0.1:1")
        await #expect(throws: refused) { try await producer.publish([1], to: "plays") }
        await producer.stop()
        await #expect(throws: NSQError.stopped) { try await producer.publish([1], to: "plays") }

        let consumer = try Consumer(topic: "plays", channel: "counts", nsqds: ["127.0.0.1:1"])
        await #expect(throws: refused) { try await consumer.connected() }
        await consumer.stop()
        await consumer.stop()
        for await _ in consumer.batches { Issue.record("a batch from nowhere") }
    }

    @Test func `ends its threads when it is dropped without a stop`() async throws {
        let broker = try await EmbeddedBroker.start()
        do {
            let producer = try Producer(nsqd: broker.tcpAddress)
            try await producer.publish("play".utf8, to: "plays")
            let consumer = try Consumer(
                topic: "plays", channel: "counts", nsqds: [broker.tcpAddress])
            try await consumer.connected()
        }
        while await broker.statistics().connections > 0 { await Task.yield() }
        await broker.stop()
    }
}
