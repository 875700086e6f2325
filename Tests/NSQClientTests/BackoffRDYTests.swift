import Glibc
import NSQWire
import Testing
import UVLoop

@testable import NSQClient

@Suite struct `A consumer whose messages fail` {
    private func consumer(
        on loop: Loop, _ nsqd: FakeNSQD, _ scope: BackoffScope, maxInFlight: Int = 1000
    ) -> ConsumerEngine {
        var options = Consumer.Options()
        options.backoffScope = scope
        options.maxInFlight = maxInFlight
        return ConsumerEngine(
            on: loop, topic: plays, channel: counts, nsqds: [nsqd.address], options: options,
            logger: quiet)
    }

    @Test(arguments: [BackoffScope.consumer, .nsqd])
    func `sends RDY 0 after a failure, RDY 1 after the wait, and its full RDY after a success`(
        scope: BackoffScope
    ) throws {
        var counts: [Int?] = []
        try withNSQD(clock: .manual) { loop, nsqd in
            let consumer = consumer(on: loop, nsqd, scope)
            nsqd.run(
                [
                    { _ in consumer.recordOutcome(isSuccess: false, connection: 1) },
                    {
                        counts.append($0.lastReady)
                        // The first wait is twice the multiplier of 1 s.
                        loop.advance(by: .seconds(2))
                    },
                    {
                        counts.append($0.lastReady)
                        consumer.recordOutcome(isSuccess: true, connection: 1)
                    },
                    {
                        counts.append($0.lastReady)
                        consumer.stop { loop.stop() }
                    },
                ], after: .ready(count: 1000))
            consumer.start()
        }
        #expect(counts == [0, 1, 1000])
    }

    @Test(arguments: [(BackoffScope.consumer, 0), (.nsqd, 0), (.none, 1000)])
    func `counts a message as failed that nsqd has redelivered before its FIN`(
        scope: BackoffScope, ready: Int
    ) throws {
        var count: Int?
        try withNSQD(clock: .manual) { loop, nsqd in
            let consumer = consumer(on: loop, nsqd, scope)
            nsqd.run(
                [
                    { $0.error("E_FIN_FAILED FIN 0000000000000001 failed ID not in flight") },
                    {
                        count = $0.lastReady
                        consumer.stop { loop.stop() }
                    },
                ], after: .ready(count: 1000))
            consumer.start()
        }
        #expect(count == ready)
    }

    /// Writes a command directly to the socket, without the loop, and returns the outcome.
    private static func writeDirectly(_ batch: MessageBatch) -> DirectWriter.Outcome {
        var command: [UInt8] = []
        Command.touch(batch[0].wireID).append(to: &command)
        return command.withUnsafeBytes { batch.buffer.directWriter!.write($0) }
    }

    @Test(arguments: [BackoffScope.consumer, .nsqd])
    func `writes no answer directly while a single message tests whether processing works`(
        scope: BackoffScope
    ) throws {
        var outcomes: [DirectWriter.Outcome] = []
        try withNSQD(clock: .manual) { loop, nsqd in
            let consumer = consumer(on: loop, nsqd, scope, maxInFlight: 1)
            consumer.onBatch = { batch in
                outcomes.append(Self.writeDirectly(batch))
                consumer.finish(batch)
            }
            nsqd.run(
                [
                    { $0.messages(["works"]) },
                    { _ in consumer.recordOutcome(isSuccess: false, connection: 1) },
                    { _ in loop.advance(by: .seconds(2)) },
                    { $0.messages(["tests"]) },
                    { _ in consumer.recordOutcome(isSuccess: true, connection: 1) },
                    { $0.messages(["works again"]) },
                    { _ in consumer.stop { loop.stop() } },
                ], after: .ready(count: 1))
            consumer.start()
        }
        #expect(outcomes == [.written, .refused, .written])
    }

    /// The kernel may give the descriptor of the closed connection to another socket.
    @Test func `writes no answer directly after its connection has ended`() throws {
        var outcome: DirectWriter.Outcome?
        try withNSQD(clock: .manual) { loop, nsqd in
            let consumer = consumer(on: loop, nsqd, .consumer, maxInFlight: 1)
            var held: MessageBatch?
            consumer.onBatch = { held = $0 }
            consumer.onConnection = { _, error in
                guard error != nil, let held else { return }
                var descriptors: [Int32] = []
                for _ in 0..<8 {
                    var pair: [Int32] = [0, 0]
                    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
                    descriptors += pair
                }
                outcome = Self.writeDirectly(held)
                for descriptor in descriptors { close(descriptor) }
                consumer.stop { loop.stop() }
            }
            nsqd.run(
                [{ $0.messages(["held"]) }, { $0.close() }], after: .ready(count: 1))
            consumer.start()
        }
        #expect(outcome == .refused)
    }
}
