import BrokerCore
import Foundation
import NSQBroker
import NSQClient
import NSQWire
import TallyBasics
import TestKit
import Testing
import UVLoop

/// A consumer and the embedded broker on one loop, with a manual clock and a faulty network between
/// them. Each run is determined by its seed.
@Suite(.timeLimit(.minutes(15))) struct `A consumer in a faulty network` {
    /// `make faults` sets the number of runs.
    private static let runCount =
        ProcessInfo.processInfo.environment["TALLY_FAULT_RUNS"].flatMap { Int($0) } ?? 30

    /// The first seed. It is fixed, so that the sample in the suite always has the same runs;
    /// `TALLY_SEED` selects others.
    private static let firstSeed =
        ProcessInfo.processInfo.environment["TALLY_SEED"].flatMap { UInt64($0) } ?? 1

    @Test func `loses no message, and answers no delivery twice`() throws {
        let first = Self.firstSeed
        for seed in first..<first + UInt64(Self.runCount) {
            let run = try FaultyRun(seed: seed)
            let outcome = run.execute()
            #expect(
                outcome.isEmpty,
                """
                \(outcome.joined(separator: "\n"))
                repeat with: TALLY_SEED=\(seed) TALLY_FAULT_RUNS=1 swift test \
                --filter 'A consumer in a faulty network'
                """)
            if !outcome.isEmpty { break }
        }
    }
}

/// One run: messages are published, faults happen for some seconds of the manual clock, and then the
/// network works until nothing has been delivered for a while.
private final class FaultyRun {
    private let loop: Loop
    private let server: BrokerServer
    private let producer: ProducerEngine
    private let consumer: ConsumerEngine
    private let proxies: [FaultyProxy]
    private var generator: SeededGenerator
    private let bodies: Set<String>
    private var finished: Set<String> = []
    private var lastDeliveryNanoseconds: Int64 = 0
    private let faultsEndNanoseconds: Int64
    private var iterations = 0
    private let start = ContinuousClock.now
    private var timers: [UVLoop.Timer] = []

    private static let maxIterations = 20_000
    private static let longestRun = Duration.seconds(60)
    private static let silence = Duration.seconds(5)

    init(seed: UInt64) throws {
        generator = SeededGenerator(seed: seed)
        loop = try Loop(clock: .manual)
        var options = ServerOptions()
        options.busyPoll = .zero
        // The consumer may touch a message that the program never answers, so the broker limits the
        // total timeout.
        options.core.maxMessageTimeout = .seconds(3)
        server = try BrokerServer(options: options, on: loop, logger: quiet)
        let listener = try Listener(
            on: loop, at: .tcp(SocketAddress(host: "127.0.0.1", port: 0)))
        server.accept(on: listener)
        let address = listener.address
        proxies = try (1...2).map { [loop] in
            try FaultyProxy(on: loop, to: address, seed: seed &+ UInt64($0))
        }
        var consuming = Consumer.Options()
        consuming.maxInFlight = Int.random(in: 1...20, using: &generator)
        consuming.messageTimeout = .seconds(1)
        consuming.client.minReconnectDelay = .milliseconds(1)
        consuming.client.maxReconnectDelay = .milliseconds(100)
        consumer = ConsumerEngine(
            on: loop, topic: plays, channel: counts, nsqds: proxies.map(\.address),
            options: consuming, logger: quiet)
        consumer.keepsMessagesAlive = Bool.random(using: &generator)
        // On a busy machine, the manual clock advances far until the system has transferred the bytes,
        // so the timeouts are long.
        var producing = Producer.Options.withoutWaiting
        producing.client.connectTimeout = .seconds(3600)
        producing.responseTimeout = .seconds(3600)
        producer = ProducerEngine(
            on: loop, nsqds: [address], options: producing, logger: quiet)
        bodies = Set((0..<Int.random(in: 1...60, using: &generator)).map { "message \($0)" })
        faultsEndNanoseconds =
            loop.nowNanoseconds
            + Duration.milliseconds(Int.random(in: 0...4_000, using: &generator)).nanoseconds
    }

    /// Runs to the end.
    ///
    /// - Returns: a sentence for each violated rule.
    func execute() -> [String] {
        for proxy in proxies { proxy.longestDelay = .milliseconds(1_500) }
        consumer.onBatch = { [unowned self] in receive($0) }
        consumer.start()
        producer.start()
        for body in bodies.sorted() {
            producer.publish(Array(body.utf8), to: plays) { error in
                precondition(error == nil, "the producer's network has no faults: \(error!)")
            }
        }
        loop.runInNextIteration { [unowned self] in step() }
        loop.run()
        for proxy in proxies { proxy.close() }
        for timer in timers { timer.close() }
        loop.close()
        var outcome = proxies.flatMap(\.violations)
        let lost = bodies.subtracting(finished)
        if !lost.isEmpty { outcome.append("lost: \(lost.sorted().joined(separator: ", "))") }
        return outcome
    }

    private func step() {
        iterations += 1
        loop.advance(by: .milliseconds(Int.random(in: 1...50, using: &generator)))
        let now = loop.nowNanoseconds
        let isFaulty = now < faultsEndNanoseconds
        for proxy in proxies {
            if !isFaulty { proxy.longestDelay = .zero }
            if isFaulty, Int.random(in: 0..<60, using: &generator) == 0 { proxy.cut() }
            proxy.forward()
        }
        let isSilent = now - lastDeliveryNanoseconds > Self.silence.nanoseconds
        let isComplete = !isFaulty && isSilent && finished == bodies
        // The system needs real time to transfer bytes between sockets, so the number of iterations
        // alone does not show a hang.
        let isLost =
            iterations >= Self.maxIterations && ContinuousClock.now - start > Self.longestRun
        guard !isComplete, !isLost else { return loop.stop() }
        loop.runInNextIteration { [unowned self] in step() }
    }

    // MARK: The program that consumes

    private func receive(_ batch: MessageBatch) {
        lastDeliveryNanoseconds = loop.nowNanoseconds
        if Int.random(in: 0..<4, using: &generator) == 0 {
            for message in batch { finished.insert(text(message)) }
            consumer.finish(batch)
        } else {
            for message in batch { answer(message) }
        }
    }

    /// Finishes a message at once or later, requeues it, or does not answer it.
    private func answer(_ message: Message) {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: break
        case 1:
            consumer.requeue(
                message, after: .milliseconds(Int.random(in: 0...500, using: &generator)))
        case 2...4:
            let timer = UVLoop.Timer(on: loop)
            timers.append(timer)
            timer.start(after: .milliseconds(Int.random(in: 0...1_500, using: &generator))) {
                [unowned self] in finish(message)
            }
        default: finish(message)
        }
    }

    private func finish(_ message: Message) {
        finished.insert(text(message))
        consumer.finish(message)
        // A program that answers again must not disturb the protocol.
        if Bool.random(using: &generator) { consumer.requeue(message, after: .zero) }
    }

    private func text(_ message: Message) -> String {
        String(decoding: message.body, as: UTF8.self)
    }
}
