import Histogram
import NSQWire
import UVLoop

/// What is measured: each load goes through one connection of its own, or one a side.
struct BenchLoads {
    let address: SocketAddress
    let seconds: Double
    let maxMessages: Int

    static let bodyBytes = 200
    static let batch = 200
    /// Commands under way at a time: publishes are pipelined.
    static let window = 20
    static let readyCount = 2_500

    /// Publishes batches of 200 messages of 200 bytes.
    ///
    /// - Returns: how many, and in how many seconds.
    func multiPublish(to topic: TopicName) throws -> Rate {
        let bodies = [[UInt8]](repeating: Self.body, count: Self.batch)
        var command: [UInt8] = []
        Command.appendMultiPublish(topic, bodies, to: &command)
        return try publish(command, messages: Self.batch, window: Self.window)
    }

    /// Publishes messages of 200 bytes one a command, 200 commands under way.
    func publish(to topic: TopicName) throws -> Rate {
        var command: [UInt8] = []
        Command.publish(topic).append(body: Self.body, to: &command)
        return try publish(command, messages: 1, window: Self.batch)
    }

    private func publish(_ command: [UInt8], messages: Int, window: Int) throws -> Rate {
        let run = try BenchRun("publishing", at: address)
        return try command.withUnsafeBytes { command in
            var publisher: Publisher!
            let elapsed = try run.run(connections: 1) { connections in
                publisher = Publisher(connections[0], command, messages, window, run)
                publisher.start(seconds: seconds, maxMessages: maxMessages)
                publisher.whenDone = { run.finish() }
            }
            return Rate(messages: publisher.answered, seconds: elapsed)
        }
    }

    /// Takes `count` messages off a backlog, finishing each.
    func consume(_ count: Int, from topic: TopicName) throws -> Rate {
        let run = try BenchRun("consuming", at: address)
        var consumer: Consumer!
        let elapsed = try run.run(connections: 1) { connections in
            consumer = Consumer(connections[0], topic, run)
            consumer.whenTaken = { if $0 >= count { run.finish() } }
        }
        return Rate(messages: consumer.taken, seconds: elapsed)
    }

    /// Publishes batches and consumes them at once, on two connections.
    func both(on topic: TopicName) throws -> (published: Rate, consumed: Rate) {
        let bodies = [[UInt8]](repeating: Self.body, count: Self.batch)
        var command: [UInt8] = []
        Command.appendMultiPublish(topic, bodies, to: &command)
        let run = try BenchRun("publishing and consuming", at: address)
        return try command.withUnsafeBytes { command in
            var publisher: Publisher!
            var consumer: Consumer!
            var publishSeconds = 0.0
            let started = run.loop.nowNanoseconds
            let elapsed = try run.run(connections: 2) { connections in
                consumer = Consumer(connections[1], topic, run)
                publisher = Publisher(connections[0], command, Self.batch, Self.window, run)
                publisher.start(seconds: seconds, maxMessages: maxMessages)
                // Either may be last: a message may arrive before its publish is answered.
                func finishIfDone() {
                    if publishSeconds > 0, consumer.taken >= publisher.answered { run.finish() }
                }
                publisher.whenDone = {
                    publishSeconds = Double(run.loop.nowNanoseconds - started) / 1e9
                    finishIfDone()
                }
                consumer.whenTaken = { _ in finishIfDone() }
            }
            return (
                Rate(messages: publisher.answered, seconds: publishSeconds),
                Rate(messages: consumer.taken, seconds: elapsed)
            )
        }
    }

    /// Publishes one message after another, each once the one before has arrived and a
    /// millisecond has passed, to a consumer with RDY 2,500 at the broker's default settings.
    ///
    /// - Returns: microseconds from before the PUB is written to after the message is read.
    func latency(on topic: TopicName, messages: Int) throws -> Histogram<UInt32> {
        var command: [UInt8] = []
        Command.publish(topic).append(body: Self.body, to: &command)
        let run = try BenchRun("measuring latency", at: address)
        var histogram = Histogram<UInt32>(
            lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000,
            numberOfSignificantValueDigits: .three)
        var consumer: Consumer!
        _ = try run.run(connections: 2) { connections in
            let pace = Timer(on: run.loop)
            let deadline = run.loop.nowNanoseconds + Int64(max(seconds, 1) * 3e9)
            var sentAt: Int64 = 0
            func sendOne() {
                sentAt = run.loop.nowNanoseconds
                connections[0].send(command)
            }
            consumer = Consumer(connections[1], topic, run)
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

    private static let body = [UInt8](repeating: UInt8(ascii: "x"), count: bodyBytes)
}

/// Messages in a time.
struct Rate {
    var messages: Int
    var seconds: Double

    var perSecond: Double { seconds > 0 ? Double(messages) / seconds : 0 }
}

/// Sends one prepared command over and over, a window of them under way.
private final class Publisher {
    private let connection: BenchConnection
    private let command: UnsafeRawBufferPointer
    private let messages: Int
    private let window: Int
    private unowned let run: BenchRun
    private var deadline: Int64 = 0
    private var maxMessages = 0
    private var sent = 0
    private(set) var answered = 0
    var whenDone: () -> Void = {}

    init(
        _ connection: BenchConnection, _ command: UnsafeRawBufferPointer, _ messages: Int,
        _ window: Int, _ run: BenchRun
    ) {
        self.connection = connection
        self.command = command
        self.messages = messages
        self.window = window
        self.run = run
    }

    func start(seconds: Double, maxMessages: Int) {
        deadline = run.loop.nowNanoseconds + Int64(seconds * 1e9)
        self.maxMessages = maxMessages
        connection.onFrame = { [unowned self] _ in answered += messages }
        connection.onReadEnd = { [unowned self] in goOn() }
        goOn()
    }

    private func goOn() {
        run.progress()
        let isOver = run.loop.nowNanoseconds >= deadline || sent >= maxMessages
        if isOver {
            if answered == sent { whenDone() }
            return
        }
        let free = window - (sent - answered) / messages
        // Half a window at a time: a write a command would measure system calls.
        guard connection.isIdle, free >= window / 2 else { return }
        connection.send(command, times: free)
        sent += free * messages
    }
}

/// Subscribes, and finishes all it is given, a run of FINs a read.
private final class Consumer {
    private let connection: BenchConnection
    private var finished: [UInt8] = []
    private(set) var taken = 0
    var whenTaken: (Int) -> Void = { _ in }

    init(_ connection: BenchConnection, _ topic: TopicName, _ run: BenchRun) {
        self.connection = connection
        finished.reserveCapacity(128 << 10)
        connection.onFrame = { [unowned self] frame in take(frame) }
        connection.onReadEnd = { [unowned self, unowned run] in
            guard !finished.isEmpty else { return }
            run.progress()
            connection.send(finished)
            finished.removeAll(keepingCapacity: true)
            whenTaken(taken)
        }
        connection.send(.subscribe(topic, ChannelName("bench")!))
        connection.send(.ready(count: BenchLoads.readyCount))
    }

    private func take(_ frame: ReceivedFrame) {
        guard frame.kind == .message, let message = ReceivedMessage(data: frame.data) else {
            return
        }
        taken += 1
        Command.appendFinish(message.id, to: &finished)
    }
}
