import NSQBroker
import NSQClient
import Testing

/// Producers and consumers with their own threads, against the embedded broker.
// With two processors all tests share two threads, so a test with many suspensions can take long.
@Suite(.timeLimit(.minutes(15))) struct `A producer and a consumer` {
    @Test func `exchange all messages across threads`() async throws {
        let broker = try await EmbeddedBroker.start()
        let producer = try Producer(nsqd: broker.tcpAddress)
        let consumer = try Consumer(
            topic: "plays", channel: "counts", nsqds: [broker.tcpAddress])
        try await consumer.connected()

        try await producer.publish("alone", to: "plays")
        try await producer.publish("later", to: "plays", after: .milliseconds(10))
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

    @Test func `receive a requeued message again`() async throws {
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

    @Test func `reject invalid names and addresses before they send`() async throws {
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

    @Test func `reject options outside their ranges`() {
        let changes: [(String, (inout Producer.Options) -> Void)] = [
            ("heartbeatInterval", { $0.client.heartbeatInterval = .milliseconds(999) }),
            ("connectTimeout", { $0.client.connectTimeout = .zero }),
            ("minReconnectDelay", { $0.client.minReconnectDelay = .seconds(11) }),
            ("maxReconnectDelay", { $0.client.maxReconnectDelay = .seconds(3601) }),
            ("maxFrameBytes", { $0.client.maxFrameBytes = 1023 }),
            ("deflate level", { $0.client.compression = .deflate(level: 10) }),
            ("authSecret", { $0.client.authSecret = "" }),
            ("reconnectTimeout", { $0.reconnectTimeout = .seconds(-1) }),
            ("window", { $0.window = 0 }),
            ("windowBytes", { $0.windowBytes = 0 }),
            ("maxWaiting", { $0.maxWaiting = -1 }),
            ("responseTimeout", { $0.responseTimeout = .zero }),
            ("stopTimeout", { $0.stopTimeout = .seconds(3601) }),
        ]
        for (name, change) in changes {
            var options = Producer.Options()
            change(&options)
            let error = #expect(throws: NSQError.self) {
                try Producer(nsqd: "127.0.0.1:1", options: options)
            }
            #expect(error?.code == .invalidOption)
            #expect(error?.description.contains(name) == true)
        }
        let consuming: [(String, (inout Consumer.Options) -> Void)] = [
            ("maxInFlight", { $0.maxInFlight = -1 }),
            ("messageTimeout", { $0.messageTimeout = .milliseconds(999) }),
            ("outputBufferTimeout", { $0.outputBufferTimeout = .milliseconds(24) }),
            ("outputBufferBytes", { $0.outputBufferBytes = 65_537 }),
            ("samplePercent", { $0.samplePercent = 100 }),
        ]
        for (name, change) in consuming {
            var options = Consumer.Options()
            change(&options)
            let error = #expect(throws: NSQError.self) {
                try Consumer(topic: "t", channel: "c", nsqds: [], options: options)
            }
            #expect(error?.description.contains(name) == true)
        }
        #expect(throws: NSQError.self) { try Producer(nsqds: []) }
    }

    @Test func `end a publish whose task is cancelled before it is sent`() async throws {
        let producer = try Producer(nsqd: "127.0.0.1:1", logger: quiet)
        let publish = Task { try await producer.publish("play", to: "plays") }
        publish.cancel()
        await #expect(throws: NSQError.cancelled(mayHaveBeenAccepted: false)) {
            try await publish.value
        }
        await producer.stop()
    }

    @Test func `report the address of an unreachable nsqd`() async throws {
        let refused = NSQError.unreachable(
            address: "127.0.0.1:1", reason: "connection refused (ECONNREFUSED)")
        var options = Producer.Options()
        options.reconnectTimeout = .zero
        let producer = try Producer(nsqd: "127.0.0.1:1", options: options)
        await #expect(throws: refused) { try await producer.publish([1], to: "plays") }
        await producer.stop()
        await #expect(throws: NSQError.stopped) { try await producer.publish([1], to: "plays") }

        let consumer = try Consumer(topic: "plays", channel: "counts", nsqds: ["127.0.0.1:1"])
        await #expect(throws: refused) { try await consumer.connected() }
        await consumer.stop()
        await consumer.stop()
        for await _ in consumer.batches { Issue.record("a batch from nowhere") }
    }

    @Test func `end their threads when they are deallocated without a stop`() async throws {
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
