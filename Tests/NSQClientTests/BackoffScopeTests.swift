import NSQBroker
import NSQClient
import Testing
import UVLoop

/// Failures at one of two brokers.
@Suite(.timeLimit(.minutes(15))) struct `The backoff of a consumer` {
    private let topic = "plays"
    private let channel = "counts"

    private func waitUntilFinished(_ broker: EmbeddedBroker) async {
        while await broker.statistics().unfinishedCount > 0 { await Task.yield() }
    }

    private func publish(_ bodies: [String], to broker: EmbeddedBroker) async throws {
        let producer = try Producer(nsqd: broker.tcpAddress, logger: quiet)
        for body in bodies { try await producer.publish(body, to: topic) }
        await producer.stop()
    }

    /// Runs a consumer of two brokers whose handler fails for messages that begin with "bad", and
    /// publishes a bad message to the first broker. `body` runs when it has failed.
    private func withFailure(
        _ scope: BackoffScope, _ body: (EmbeddedBroker, EmbeddedBroker) async throws -> Void
    ) async throws {
        let brokers = [try await EmbeddedBroker.start(), try await EmbeddedBroker.start()]
        for broker in brokers { try await broker.createChannel(channel, of: topic) }
        var options = Consumer.Options()
        options.backoffScope = scope
        options.backoffMultiplier = .seconds(60)
        let consumer = try Consumer(
            topic: topic, channel: channel, nsqds: brokers.map(\.tcpAddress), options: options,
            logger: quiet)
        let run = Task {
            try await consumer.run { message in
                if message.body.starts(with: "bad".utf8) { throw GiveUp("is bad") }
            }
        }
        try await publish(["bad"], to: brokers[0])
        await waitUntilFinished(brokers[0])
        try await body(brokers[0], brokers[1])
        await consumer.stop()
        try await run.value
        for broker in brokers { await broker.stop() }
    }

    @Test func `stops the nsqd alone whose message has failed, if that is its scope`() async throws
    {
        try await withFailure(.nsqd) { failed, other in
            try await publish(["good"], to: failed)
            try await publish((0..<20).map { "good \($0)" }, to: other)
            await waitUntilFinished(other)
            #expect(await failed.statistics().topics[0].channels[0].depth == 1)
        }
    }

    @Test func `stops the whole consumer by default`() async throws {
        #expect(Consumer.Options().backoffScope == .consumer)
        try await withFailure(.consumer) { failed, _ in
            try await publish(["good"], to: failed)
            #expect(await failed.statistics().topics[0].channels[0].depth == 1)
        }
    }

    @Test func `does not exist without a scope`() async throws {
        try await withFailure(.none) { failed, _ in
            try await publish(["bad again", "good"], to: failed)
            await waitUntilFinished(failed)
        }
    }
}
