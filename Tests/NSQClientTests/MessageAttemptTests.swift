import NSQBroker
import Testing
import UVLoop

@testable import NSQClient

/// Handlers at an embedded broker. The time limit is short, because a test would wait forever for a
/// message that is not handled.
@Suite(.timeLimit(.minutes(2))) struct `The maximum number of attempts` {
    /// Publishes one message, and lets it be delivered `attempt - 1` times without a handler.
    private func withMessage(
        inAttempt attempt: Int, _ change: (inout Consumer.Options) -> Void = { _ in },
        _ body: (Consumer) async throws -> Void
    ) async throws {
        let broker = try await EmbeddedBroker.start()
        var options = Consumer.Options()
        change(&options)
        let consumer = try Consumer(
            topic: "plays", channel: "counts", nsqds: [broker.tcpAddress], options: options,
            logger: quiet)
        try await broker.createChannel("counts", of: "plays")
        let producer = try Producer(nsqd: broker.tcpAddress, logger: quiet)
        try await producer.publish("play", to: "plays")
        await producer.stop()
        for _ in 1..<attempt {
            if let delivery = try await consumer.next() { delivery.requeue() }
        }
        try await body(consumer)
        await consumer.stop()
        await broker.stop()
    }

    @Test(arguments: [(1, 1, true), (2, 1, false), (2, 2, true), (3, 2, false), (7, 0, true)])
    func `permits a handler in the last attempt, and none after it`(
        attempt: Int, maxAttempts: Int, isHandled: Bool
    ) async throws {
        let handled = LockedValue<[Int]>([])
        let givenUp = LockedValue<[String]>([])
        try await withMessage(inAttempt: attempt) { consumer in
            var retry = RetryPolicy()
            retry.maxAttempts = maxAttempts
            try await consumer.run(
                retry: retry,
                onGivenUp: { _, error in
                    givenUp.withLock { $0.append("\(error)") }
                    Task { await consumer.stop() }
                }
            ) { message in
                handled.withLock { $0.append(message.attempts) }
                Task { await consumer.stop() }
            }
        }
        #expect(handled.withLock { $0 } == (isHandled ? [attempt] : []))
        let reason = TooManyAttempts(attempts: attempt - 1).description
        #expect(givenUp.withLock { $0 } == (isHandled ? [] : [reason]))
    }

    @Test func `and the backoff do not count a delivery that the handler has requested`()
        async throws
    {
        let attempts = LockedValue<[Int]>([])
        try await withMessage(
            inAttempt: 1,
            {
                $0.backoffMultiplier = .seconds(3600)
                $0.maxBackoff = .seconds(3600)
            }
        ) { consumer in
            try await consumer.run { message in
                attempts.withLock { $0.append(message.attempts) }
                if message.attempts < 5 { throw Requeue(after: .zero) }
                Task { await consumer.stop() }
            }
        }
        #expect(attempts.withLock { $0 } == [1, 2, 3, 4, 5])
    }
}

@Suite struct `The queue of received messages` {
    private func batch(_ serial: Int, connection: Int = 1, count: Int = 2) -> MessageBatch {
        MessageBatch(
            buffer: ReceiveBuffer(byteCount: 1), offsets: Array(repeating: 0, count: count),
            connection: connection, serial: serial, nsqd: SocketAddress(host: "a", port: 1))
    }

    /// A queue of which one message of the first batch was taken.
    private func queue(_ batches: [MessageBatch]) async throws -> MessageQueue {
        let queue = MessageQueue { _ in }
        let first = Task { try await queue.next()?.place.index }
        while !queue.hasDemand { await Task.yield() }
        for batch in batches { #expect(queue.append(batch)) }
        #expect(try await first.value == 0)
        return queue
    }

    private func places(_ messages: [Message]) -> [[Int]] {
        messages.map { [$0.place.connection, $0.place.batch, $0.place.index] }
    }

    @Test func `loses the batches before the oldest one in flight, and no other`() async throws {
        let queue = try await queue([batch(1), batch(2), batch(1, connection: 2), batch(3)])
        queue.removeLost(of: 1, before: 2)
        #expect(
            places(queue.finish()) == [
                [1, 2, 0], [1, 2, 1], [2, 1, 0], [2, 1, 1], [1, 3, 0], [1, 3, 1],
            ])
    }

    @Test func `loses all batches of a connection that has ended`() async throws {
        let queue = try await queue([batch(1, connection: 2), batch(1), batch(2)])
        queue.removeLost(of: 1, before: nil)
        #expect(places(queue.finish()) == [[2, 1, 1]])
    }

    @Test func `ends the demand when the last waiting task is cancelled`() async throws {
        let changes = LockedValue(0)
        let queue = MessageQueue { _ in changes.withLock { $0 += 1 } }
        let tasks = (0..<2).map { _ in Task { try await queue.next()?.place.index } }
        while !queue.hasDemand { await Task.yield() }
        tasks[0].cancel()
        _ = await tasks[0].result
        tasks[1].cancel()
        _ = await tasks[1].result
        #expect(!queue.hasDemand)
        #expect(!queue.append(batch(1)))
        #expect(changes.withLock { $0 } >= 2)
    }
}
