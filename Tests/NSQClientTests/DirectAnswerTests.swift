import Glibc
import NSQBroker
import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQClient

/// Answers that the task of a message writes itself, without the loop.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `A consumer with one message in flight` {
    private func withConsumer(
        maxInFlight: Int, _ body: (Consumer, EmbeddedBroker) async throws -> Void
    ) async throws {
        let broker = try await EmbeddedBroker.start()
        var options = Consumer.Options()
        options.maxInFlight = maxInFlight
        options.client.ioThread = .own
        let consumer = try Consumer(
            topic: "plays", channel: "counts", nsqds: [broker.tcpAddress], options: options,
            logger: quiet)
        try await consumer.connected()
        let producer = try Producer(nsqd: broker.tcpAddress, logger: quiet)
        var batch = PublishBatch()
        for number in 1...100 { batch.append("\(number)".utf8) }
        try await producer.publish(batch, to: "plays")
        await producer.stop()
        try await body(consumer, broker)
        await consumer.stop()
        await broker.stop()
    }

    /// Blocks the consumer's loop until the returned lock is opened.
    private func block(_ consumer: Consumer) async -> LockedValue<Bool> {
        let isBlocked = LockedValue(true)
        await withCheckedContinuation { (started: CheckedContinuation<Void, Never>) in
            consumer.engine.submit { _ in
                started.resume()
                while isBlocked.withLock({ $0 }) { _ = sched_yield() }
            }
        }
        return isBlocked
    }

    @Test func `finishes the message while its loop is busy`() async throws {
        try await withConsumer(maxInFlight: 1) { consumer, broker in
            for number in 1...10 {
                let delivery = try await next(consumer)
                let isBlocked = await block(consumer)
                delivery.finish()
                // The depth falls only when the broker has received the FIN and so delivers the next
                // message.
                while await broker.statistics().topics[0].channels[0].depth != 99 - number {
                    await Task.yield()
                }
                isBlocked.withLock { $0 = false }
            }
            while await consumer.statistics().connections.map(\.inFlightCount) != [1] {
                await Task.yield()
            }
        }
    }

    @Test func `receives all messages once, also when max-in-flight changes meanwhile`()
        async throws
    {
        try await withConsumer(maxInFlight: 1) { consumer, broker in
            for number in 1...100 {
                let delivery = try await next(consumer)
                #expect(delivery.attempts == 1)
                if number % 7 == 0 { consumer.setMaxInFlight(number % 2 == 0 ? 1 : 10) }
                delivery.finish()
            }
            while await broker.statistics().topics[0].channels[0].inFlightCount > 0 {
                await Task.yield()
            }
            while await consumer.statistics().connections.map(\.inFlightCount) != [0] {
                await Task.yield()
            }
        }
    }

    @Test func `with more in flight leaves the answers to its loop, which sends them together`()
        async throws
    {
        try await withConsumer(maxInFlight: 2) { consumer, broker in
            let delivery = try await next(consumer)
            let isBlocked = await block(consumer)
            delivery.finish()
            #expect(await broker.statistics().topics[0].channels[0].inFlightCount == 2)
            isBlocked.withLock { $0 = false }
        }
    }
}

/// The order of RDY and REQ at the end of the demand, recorded by a fake nsqd.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `A consumer that ends its demand` {
    private enum Ending: CaseIterable { case cancelled, stopped }

    @Test(arguments: Ending.allCases)
    private func `sends RDY 0 or CLS before it requeues`(_ ending: Ending) async throws {
        let thread = try LoopThread(name: "fake nsqd")
        let lines = LockedValue<[String]>([])
        let nsqd = LoopBound(creatingOn: thread.mailbox) { loop in
            let nsqd = try! FakeNSQD(on: loop)
            nsqd.script = { connection, command, _ in
                lines.withLock { $0.append(command.firstWords) }
                if case .ready(let count) = command, count > 0 {
                    connection.messages((1...10).map(String.init))
                }
                return false
            }
            return nsqd
        }
        let address = await withCheckedContinuation { address in
            nsqd.submit { address.resume(returning: $0!.address.description) }
        }
        let consumer = try Consumer(
            topic: "plays", channel: "counts", nsqds: [address], logger: quiet)
        try await next(consumer).finish()
        if ending == .cancelled {
            let (taken, signal) = AsyncStream.makeStream(of: Void.self)
            let task = Task {
                while let delivery = try await consumer.next() {
                    signal.yield()
                    while !Task.isCancelled { await Task.yield() }
                    delivery.requeue()
                }
            }
            for await _ in taken { break }
            task.cancel()
            _ = await task.result
        }
        await consumer.stop()
        nsqd.submit { $0?.close() }
        thread.stop()
        await thread.join()
        let sent = lines.withLock { $0 }
        let requeues = sent.indices.filter { sent[$0] == "REQ" }
        #expect(requeues.count == 9)
        let demandEnd = try #require(sent.firstIndex { $0 == "RDY 0" || $0 == "CLS" })
        #expect(requeues.allSatisfy { $0 > demandEnd })
        #expect(!sent[demandEnd...].contains("RDY"))
    }
}

/// Returns the next delivery of a consumer that is not stopped.
private func next(_ consumer: Consumer) async throws -> Delivery {
    guard let delivery = try await consumer.next() else { throw NSQError.stopped }
    return delivery
}

extension Command {
    /// The verb; `RDY 0` for a ready count of 0.
    fileprivate var firstWords: String {
        switch self {
        case .ready(let count): count == 0 ? "RDY 0" : "RDY"
        case .requeue: "REQ"
        case .close: "CLS"
        case .finish: "FIN"
        default: "other"
        }
    }
}
