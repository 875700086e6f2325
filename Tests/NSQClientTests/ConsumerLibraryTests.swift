import Logging
import NSQBroker
import NSQClient
import Testing
import UVLoop

/// A consumer from which tasks request messages one by one, against the embedded broker.
@Suite(.timeLimit(.minutes(15))) struct `A consumer whose messages are requested` {
    /// Starts a broker with the messages `bodies` in the channel "counts" of the topic "plays".
    private func broker(with bodies: [String]) async throws -> EmbeddedBroker {
        let broker = try await EmbeddedBroker.start()
        let subscriber = try Consumer(topic: "plays", channel: "counts", nsqds: [broker.tcpAddress])
        try await subscriber.connected()
        await subscriber.stop()
        try await publish(bodies, to: broker)
        return broker
    }

    private func publish(_ bodies: [String], to broker: EmbeddedBroker) async throws {
        guard !bodies.isEmpty else { return }
        let producer = try Producer(nsqd: broker.tcpAddress)
        var batch = PublishBatch()
        for body in bodies { batch.append(body.utf8) }
        try await producer.publish(batch, to: "plays")
        await producer.stop()
    }

    private func consumer(
        of broker: EmbeddedBroker, _ change: (inout Consumer.Options) -> Void = { _ in }
    ) throws -> Consumer {
        var options = Consumer.Options()
        change(&options)
        return try Consumer(
            topic: "plays", channel: "counts", nsqds: [broker.tcpAddress], options: options)
    }

    private func channel(_ broker: EmbeddedBroker) async -> EmbeddedBroker.Statistics.Channel {
        await broker.statistics().topics[0].channels[0]
    }

    /// Finishes the next message, and returns it; `nil` if the consumer has stopped.
    private func finishNext(_ consumer: Consumer) async throws -> Message? {
        guard let delivery = try await consumer.next() else { return nil }
        let message = delivery.message
        delivery.finish()
        return message
    }

    private func text(_ message: Message) -> String {
        String(decoding: message.body, as: UTF8.self)
    }

    @Test func `returns them one by one, and requeues a delivery without an answer`() async throws {
        let broker = try await broker(with: ["a", "b", "c"])
        let consumer = try consumer(of: broker)
        var bodies: [String] = []
        while bodies.count < 4, let delivery = try await consumer.next() {
            bodies.append(text(delivery.message))
            // The first delivery of "b" goes out of scope without an answer, so the message is
            // requeued.
            if bodies.last == "b", delivery.attempts == 1 { continue }
            delivery.finish()
        }
        #expect(bodies == ["a", "b", "c", "b"])
        await consumer.stop()
        let channel = await channel(broker)
        #expect(channel.requeueCount == 1)
        #expect(channel.depth + channel.inFlightCount == 0)
        await broker.stop()
    }

    @Test func `is starved while 85 % of its messages are in flight`() async throws {
        let broker = try await broker(with: (0..<40).map { "\($0)" })
        let consumer = try consumer(of: broker) { $0.maxInFlight = 20 }
        let first = try await consumer.next()
        // nsqd delivers as many messages as RDY allows, whether a task requests them or not.
        var statistics = await consumer.statistics()
        while statistics.inFlightCount < 20 {
            await Task.yield()
            statistics = await consumer.statistics()
        }
        #expect(statistics.connections.map(\.readyCount) == [20])
        #expect(statistics.connections.map(\.address) == [broker.tcpAddress])
        #expect(statistics.isStarved)
        if let first { first.finish() }
        for _ in 1..<40 { _ = try await finishNext(consumer) }
        statistics = await consumer.statistics()
        #expect(statistics.inFlightCount == 0)
        #expect(!statistics.isStarved)
        await consumer.stop()
        #expect(await consumer.statistics().connections == [])
        await broker.stop()
    }

    @Test(arguments: [(0, 20, false), (16, 20, false), (17, 20, true), (1, 1, true), (1, 0, true)])
    func `is starved by the messages in flight of one connection`(
        inFlight: Int, ready: Int, isStarved: Bool
    ) {
        func connection(isLeaving: Bool) -> Consumer.Statistics.Connection {
            .init(
                address: "127.0.0.1:4150", readyCount: ready, inFlightCount: inFlight,
                isLeaving: isLeaving)
        }
        #expect(connection(isLeaving: false).isStarved == isStarved)
        #expect(!connection(isLeaving: true).isStarved)
    }

    @Test func `takes no message before the first request`() async throws {
        let broker = try await broker(with: ["a"])
        let consumer = try consumer(of: broker)
        try await consumer.connected()
        let other = try self.consumer(of: broker)
        #expect(try await finishNext(other)?.attempts == 1)
        await other.stop()
        await consumer.stop()
        await broker.stop()
    }

    @Test func `returns the messages that no task has taken when the task is cancelled`()
        async throws
    {
        let broker = try await broker(with: ["a", "b", "c"])
        let consumer = try consumer(of: broker)
        let (taken, signal) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            _ = try await finishNext(consumer)
            signal.yield()
            // This stream never yields, so the task waits here until it is cancelled.
            for await _ in AsyncStream<Void>.makeStream().stream {}
            while let delivery = try await consumer.next() { delivery.finish() }
        }
        for await _ in taken { break }
        task.cancel()
        await #expect(throws: NSQError.cancelled(mayHaveBeenAccepted: false)) {
            try await task.value
        }
        let other = try self.consumer(of: broker)
        for _ in 0..<2 {
            #expect(try await finishNext(other) != nil)
        }
        await other.stop()
        // The cancelled consumer takes messages again when a task requests some.
        try await publish(["d"], to: broker)
        #expect(try await finishNext(consumer)?.body == Array("d".utf8))
        await consumer.stop()
        await broker.stop()
    }

    @Test func `ends every request when it stops`() async throws {
        let broker = try await broker(with: [])
        let consumer = try consumer(of: broker)
        async let first = finishNext(consumer)
        async let second = finishNext(consumer)
        try await consumer.connected()
        await consumer.stop()
        #expect(try await first == nil)
        #expect(try await second == nil)
        #expect(try await finishNext(consumer) == nil)
        await broker.stop()
    }

    @Test func `closes its connections when messages have no answer at the stop timeout`()
        async throws
    {
        let broker = try await broker(with: ["a"])
        let consumer = try consumer(of: broker) { $0.stopTimeout = .milliseconds(50) }
        let delivery = try await consumer.next()
        await consumer.stop()
        while await channel(broker).depth == 0 { await Task.yield() }
        #expect(delivery?.attempts == 1)
        await broker.stop()
    }

    @Test func `stops waiting for a connection when the task is cancelled`() async throws {
        let lookupd = try await FakeLookupd()
        let consumer = try Consumer(topic: "plays", channel: "counts", lookupds: [lookupd.address])
        let task = Task { try await consumer.connected() }
        task.cancel()
        await #expect(throws: NSQError.cancelled(mayHaveBeenAccepted: false)) {
            try await task.value
        }
        await consumer.stop()
        await lookupd.stop()
    }

    // MARK: Handlers

    @Test func `finishes a message when its handler returns, and redelivers it when it throws`()
        async throws
    {
        struct Failure: Error {}
        let broker = try await broker(with: (0..<100).map { "\($0)" })
        let consumer = try consumer(of: broker) { $0.maxBackoff = .zero }
        let attempts = LockedValue<[String: Int]>([:])
        var retry = RetryPolicy()
        retry.firstDelay = .zero
        retry.maxDelay = .zero
        try await consumer.run(concurrency: 8, retry: retry) { message in
            let body = String(decoding: message.body, as: UTF8.self)
            attempts.withLock { $0[body] = message.attempts }
            if body.hasSuffix("7"), message.attempts < 3 { throw Failure() }
            if attempts.withLock({
                $0.count == 100 && $0.allSatisfy { !$0.key.hasSuffix("7") || $0.value == 3 }
            }) {
                Task { await consumer.stop() }
            }
        }
        await consumer.stop()
        #expect(attempts.withLock { $0.values.reduce(0, +) } == 120)
        let channel = await channel(broker)
        #expect(channel.requeueCount == 20)
        #expect(channel.depth + channel.deferredCount + channel.inFlightCount == 0)
        await broker.stop()
    }

    @Test func `gives up a message after its last attempt, or at once`() async throws {
        struct Failure: Error {}
        let broker = try await broker(with: ["fails", "is hopeless"])
        let consumer = try consumer(of: broker) { $0.maxBackoff = .zero }
        let givenUp = LockedValue<[String: Int]>([:])
        var retry = RetryPolicy()
        retry.firstDelay = .zero
        retry.maxDelay = .zero
        retry.maxAttempts = 2
        try await consumer.run(
            retry: retry,
            onGivenUp: { message, _ in
                let isLast = givenUp.withLock { givenUp in
                    givenUp[String(decoding: message.body, as: UTF8.self)] = message.attempts
                    return givenUp.count == 2
                }
                if isLast { Task { await consumer.stop() } }
            }
        ) { message in
            if message.body.count == 5 { throw Failure() }
            throw GiveUp("the play has no video")
        }
        await consumer.stop()
        #expect(givenUp.withLock { $0 } == ["fails": 2, "is hopeless": 1])
        #expect(await channel(broker).depth == 0)
        await broker.stop()
    }

    @Test func `requeues a message whose cancelled handler throws`() async throws {
        let broker = try await broker(with: ["a"])
        let consumer = try consumer(of: broker)
        let (started, signal) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            try await consumer.run { _ in
                signal.yield()
                try await Task.sleep(for: .seconds(3600))
            }
        }
        for await _ in started { break }
        task.cancel()
        await #expect(throws: NSQError.cancelled(mayHaveBeenAccepted: false)) {
            try await task.value
        }
        let other = try self.consumer(of: broker)
        #expect(try await finishNext(other)?.attempts == 2)
        await consumer.stop()
        await other.stop()
        await broker.stop()
    }

    // MARK: Discovery

    @Test func `receives messages of all nsqds that any nsqlookupd reports`() async throws {
        let first = try await broker(with: ["a"])
        let second = try await broker(with: ["b"])
        let lookupds = [
            try await FakeLookupd(reporting: [first.tcpAddress]),
            try await FakeLookupd(reporting: [second.tcpAddress, first.tcpAddress]),
        ]
        let consumer = try Consumer(
            topic: "plays", channel: "counts", lookupds: lookupds.map(\.address))
        var bodies: Set<String> = []
        while bodies.count < 2, let delivery = try await consumer.next() {
            bodies.insert(text(delivery.message))
            delivery.finish()
        }
        #expect(bodies == ["a", "b"])
        for lookupd in lookupds {
            #expect(await lookupd.targets.first == "/lookup?topic=plays")
            await lookupd.stop()
        }
        await consumer.stop()
        await first.stop()
        await second.stop()
    }

    @Test func `finds an nsqd that appears later, and leaves one that has vanished`() async throws {
        let broker = try await broker(with: [])
        let lookupd = try await FakeLookupd()
        var options = Consumer.Options()
        options.lookup.pollInterval = .milliseconds(10)
        let consumer = try Consumer(
            topic: "plays", channel: "counts", lookupds: [lookupd.address], options: options)
        await lookupd.report([broker.tcpAddress])
        try await consumer.connected()
        await lookupd.report([])
        while await broker.statistics().connections > 0 { await Task.yield() }
        await lookupd.report([broker.tcpAddress])
        while await broker.statistics().connections == 0 { await Task.yield() }
        await consumer.stop()
        await lookupd.stop()
        await broker.stop()
    }

    @Test func `reports that no nsqlookupd responds`() async throws {
        let consumer = try Consumer(topic: "plays", channel: "counts", lookupds: ["127.0.0.1:1"])
        let error = NSQError.lookupFailed("127.0.0.1:1: connection refused (ECONNREFUSED)")
        await #expect(throws: error) { try await consumer.connected() }
        await consumer.stop()
        #expect(throws: NSQError.invalidAddress("ftp://x")) {
            try Consumer(topic: "plays", channel: "counts", lookupds: ["ftp://x"])
        }
    }
}
