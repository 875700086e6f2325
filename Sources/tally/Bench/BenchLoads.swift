import Histogram
import NSQWire
import UVLoop

/// What is measured, each load with connections of its own.
struct BenchLoads {
    let target: BenchTarget
    let transport: BenchTransport
    /// Connections that publish at once.
    let connections: Int
    let seconds: Double
    let maxMessages: Int

    /// Connects and agrees on the layers, to no further end: what cannot be measured is to be known
    /// before anything else is.
    func greet() throws {
        let run = try run("connecting")
        _ = try run.run(connections: 1) { _ in run.finish() }
    }

    /// Publishes batches of 200 messages of 200 bytes.
    ///
    /// - Parameter most: how many messages at the most, if that is fewer than usual.
    /// - Returns: how many, and in how many seconds.
    func multiPublish(to topic: TopicName, most: Int = .max) throws -> Rate {
        try publish(.multiPublish(to: topic, transport), min(most, maxMessages))
    }

    /// Publishes messages of 200 bytes one a command, 200 commands under way.
    func publish(to topic: TopicName) throws -> Rate {
        try publish(.publish(to: topic, transport), maxMessages)
    }

    private func publish(_ commands: BenchCommands, _ most: Int) throws -> Rate {
        let run = try run("publishing")
        let publishers = BenchPublishers()
        return try commands.bytes.withUnsafeBytes { bytes in
            let elapsed = try run.run(connections: connections) { connections in
                publishers.whenDone = { run.finish() }
                publishers.start(
                    connections[...], commands, bytes, seconds: seconds, maxMessages: most, run)
            }
            return Rate(messages: publishers.answered, seconds: elapsed)
        }
    }

    /// Takes `count` messages off a backlog, finishing each.
    func consume(
        _ count: Int, from topic: TopicName, _ manner: BenchConsumer.Manner = .inRuns
    ) throws -> Rate {
        let run = try run("consuming")
        var consumer: BenchConsumer!
        let elapsed = try run.run(connections: 1) { connections in
            consumer = BenchConsumer(connections[0], topic, run, manner)
            consumer.whenTaken = { if $0 >= count { run.finish() } }
        }
        return Rate(messages: consumer.taken, seconds: elapsed)
    }

    /// Publishes batches and consumes them at once, on connections of their own.
    func both(on topic: TopicName) throws -> (published: Rate, consumed: Rate) {
        let commands = BenchCommands.multiPublish(to: topic, transport)
        let run = try run("publishing and consuming")
        let publishers = BenchPublishers()
        return try commands.bytes.withUnsafeBytes { bytes in
            var consumer: BenchConsumer!
            var started: Int64 = 0
            var publishSeconds = 0.0
            let elapsed = try run.run(connections: connections + 1) { connections in
                // Either may be last: a message may arrive before its publish is answered.
                func finishIfDone() {
                    if publishSeconds > 0, consumer.taken >= publishers.answered { run.finish() }
                }
                started = run.loop.nowNanoseconds
                consumer = BenchConsumer(connections[0], topic, run)
                consumer.whenTaken = { _ in finishIfDone() }
                publishers.whenDone = {
                    publishSeconds = Double(run.loop.nowNanoseconds - started) / 1e9
                    finishIfDone()
                }
                publishers.start(
                    connections[1...], commands, bytes, seconds: seconds, maxMessages: maxMessages,
                    run)
            }
            return (
                Rate(messages: publishers.answered, seconds: publishSeconds),
                Rate(messages: consumer.taken, seconds: elapsed)
            )
        }
    }

    /// Publishes one message after another, each once the one before has arrived and a
    /// millisecond has passed, to a consumer with RDY 2,500 at the broker's default settings.
    ///
    /// - Returns: microseconds from before the PUB is written to after the message is read.
    func latency(on topic: TopicName, messages: Int) throws -> Histogram<UInt32> {
        let command = BenchCommands.lone(to: topic)
        let run = try run("measuring latency")
        var histogram = Histogram<UInt32>(
            lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000,
            numberOfSignificantValueDigits: .three)
        var consumer: BenchConsumer!
        _ = try run.run(connections: 2) { connections in
            let pace = Timer(on: run.loop)
            let deadline = run.loop.nowNanoseconds + Int64(max(seconds, 1) * 3e9)
            var sentAt: Int64 = 0
            func sendOne() {
                sentAt = run.loop.nowNanoseconds
                connections[0].send(command)
            }
            consumer = BenchConsumer(connections[1], topic, run)
            consumer.whenTaken = { taken in
                let now = run.loop.nowNanoseconds
                histogram.record(UInt64(max(0, now - sentAt)) / 1_000)
                guard taken < messages, now < deadline else { return run.finish() }
                pace.start(after: .milliseconds(1)) { sendOne() }
            }
            // The first goes once the subscription stands.
            pace.start(after: .milliseconds(100)) { sendOne() }
        }
        return histogram
    }

    private func run(_ what: String) throws -> BenchRun {
        try BenchRun(what, at: target, transport)
    }
}

/// Messages in a time.
struct Rate {
    var messages: Int
    var seconds: Double

    var perSecond: Double { seconds > 0 ? Double(messages) / seconds : 0 }
}
