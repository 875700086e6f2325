import Histogram
import NSQWire
import UVLoop

/// The workloads of the benchmark. Each workload opens its own connections.
struct BenchWorkloads {
    let target: BenchTarget
    let transport: BenchTransport
    /// The number of connections that publish.
    let connections: Int
    let seconds: Double
    let maxMessages: Int

    /// Connects and negotiates once, so that configuration errors are reported before the first
    /// measurement.
    func connectOnce() throws {
        let session = try session("connecting")
        _ = try session.run(connections: 1) { _ in session.finish() }
    }

    /// Publishes batches of 200 messages of 200 bytes.
    ///
    /// - Parameters:
    ///   - topic: the topic to publish to.
    ///   - limit: the maximum number of messages for this run, if it is lower than ``maxMessages``.
    func multiPublish(to topic: TopicName, maxMessages limit: Int = .max) throws -> Rate {
        try publish(.multiPublish(to: topic, transport), min(limit, maxMessages))
    }

    /// Publishes single messages of 200 bytes, with up to 200 PUBs in flight.
    func publish(to topic: TopicName) throws -> Rate {
        try publish(.publish(to: topic, transport), maxMessages)
    }

    private func publish(_ commands: PreparedCommands, _ limit: Int) throws -> Rate {
        let session = try session("publishing")
        let publishers = BenchPublishers()
        return try commands.bytes.withUnsafeBytes { bytes in
            let elapsed = try session.run(connections: connections) { connections in
                publishers.onDone = { session.finish() }
                publishers.start(
                    connections[...], commands, bytes, seconds: seconds, maxMessages: limit, session
                )
            }
            return Rate(messages: publishers.answered, seconds: elapsed)
        }
    }

    /// Consumes and finishes `count` messages that are already in the topic.
    func consume(
        _ count: Int, from topic: TopicName, _ mode: BenchConsumer.FinishMode = .batched
    ) throws -> Rate {
        let session = try session("consuming")
        var consumer: BenchConsumer!
        let elapsed = try session.run(connections: 1) { connections in
            consumer = BenchConsumer(connections[0], topic, session, mode)
            consumer.onReceived = { if $0 >= count { session.finish() } }
        }
        return Rate(messages: consumer.received, seconds: elapsed)
    }

    /// Publishes batches and consumes their messages at the same time, on separate connections.
    func both(on topic: TopicName) throws -> (published: Rate, consumed: Rate) {
        let commands = PreparedCommands.multiPublish(to: topic, transport)
        let session = try session("publishing and consuming")
        let publishers = BenchPublishers()
        return try commands.bytes.withUnsafeBytes { bytes in
            var consumer: BenchConsumer!
            var started: Int64 = 0
            var publishSeconds = 0.0
            let elapsed = try session.run(connections: connections + 1) { connections in
                // Either publishing or consuming may end last, because a message can arrive before
                // the response to its publish.
                func finishIfDone() {
                    if publishSeconds > 0, consumer.received >= publishers.answered {
                        session.finish()
                    }
                }
                started = session.loop.nowNanoseconds
                consumer = BenchConsumer(connections[0], topic, session)
                consumer.onReceived = { _ in finishIfDone() }
                publishers.onDone = {
                    publishSeconds = Double(session.loop.nowNanoseconds - started) / 1e9
                    finishIfDone()
                }
                publishers.start(
                    connections[1...], commands, bytes, seconds: seconds, maxMessages: maxMessages,
                    session)
            }
            return (
                Rate(messages: publishers.answered, seconds: publishSeconds),
                Rate(messages: consumer.received, seconds: elapsed)
            )
        }
    }

    /// Publishes single messages to a consumer with RDY 2,500 at the broker's default settings. Each
    /// message is sent one millisecond after the previous one arrived.
    ///
    /// - Returns: the time of each message from the write of the PUB to the read of the message, in
    ///   microseconds.
    func latency(on topic: TopicName, messages: Int) throws -> Histogram<UInt32> {
        let command = PreparedCommands.single(to: topic)
        let session = try session("measuring latency")
        var histogram = Histogram<UInt32>(
            lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000,
            numberOfSignificantValueDigits: .three)
        var consumer: BenchConsumer!
        _ = try session.run(connections: 2) { connections in
            let pace = Timer(on: session.loop)
            let deadline = session.loop.nowNanoseconds + Int64(max(seconds, 1) * 3e9)
            var sentAt: Int64 = 0
            func sendOne() {
                sentAt = session.loop.nowNanoseconds
                connections[0].send(command)
            }
            consumer = BenchConsumer(connections[1], topic, session)
            consumer.onReceived = { received in
                let now = session.loop.nowNanoseconds
                histogram.record(UInt64(max(0, now - sentAt)) / 1_000)
                guard received < messages, now < deadline else { return session.finish() }
                pace.start(after: .milliseconds(1)) { sendOne() }
            }
            // The first message waits for the subscription.
            pace.start(after: .milliseconds(100)) { sendOne() }
        }
        return histogram
    }

    private func session(_ phase: String) throws -> BenchSession {
        try BenchSession(phase, at: target, transport)
    }
}

/// A number of messages and the time in which they were processed.
struct Rate {
    var messages: Int
    var seconds: Double

    var perSecond: Double { seconds > 0 ? Double(messages) / seconds : 0 }
}
