import Foundation
import Logging
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import TestTraits
import Testing
import UVLoop

@Suite(.blocking, .timeLimit(.minutes(15))) struct `The producer` {
    @Test func `publishes all plays in batches, with a bounded number in flight`() async throws {
        let run = try await produce(3_050)
        #expect(try run.outcome.get() == 3_050)
        #expect(run.messages == 3_050)
        // Messages are read only when a batch can be sent: all at the start, before the connection.
        #expect(run.mostAhead == 8 * 200)
    }

    @Test func `succeeds without plays`() async throws {
        #expect(try await produce(0).outcome.get() == 0)
    }

    @Test func `publishes at most at its rate`() async throws {
        let run = try await produce(60) { $0.rate = 200 }
        #expect(try run.outcome.get() == 60)
        #expect(run.duration >= .milliseconds(290))
    }

    @Test func `publishes the plays of ten milliseconds together at a high rate`() async throws {
        let run = try await produce(4_000) { $0.rate = 20_000 }
        #expect(run.messages == 4_000)
        let intervals = Int(run.duration / .milliseconds(10))
        let fullBatches = 4_000 / 200
        #expect(run.batches <= 1 + intervals + fullBatches)
    }

    @Test func `keeps batches below the size that nsqd accepts`() async throws {
        // 200 messages are 20 MB, and nsqd accepts batches of 5 MiB.
        let run = try await produce(200, padding: 100_000)
        #expect(try run.outcome.get() == 200)
        #expect(run.messages == 200)
    }

    @Test func `fails with the source's error after it has published the plays before it`()
        async throws
    {
        struct Torn: Error {}
        let run = try await produce(500, failing: (at: 250, Torn()))
        #expect(throws: Torn.self) { try run.outcome.get() }
        #expect(run.messages == 250)
    }

    @Test func `fails at once if the first connection fails`() throws {
        let address = SocketAddress(host: "127.0.0.1", port: 1)
        var outcome: Result<Int, any Error>?
        // The manual clock does not advance, so a producer that waits before it fails would hang.
        try onLoop(clock: .manual) { loop in
            let engine = ProducerEngine(on: loop, nsqd: address)
            let producer = PlayProducer(on: loop, publisher: engine, topic: plays) {
                Array(play(1).utf8)
            }
            engine.start()
            producer.start { result in
                outcome = result
                withExtendedLifetime(producer) { engine.stop { loop.stop() } }
            }
        }
        #expect(throws: NSQError.self) { try outcome?.get() }
    }

    @Test func `publishes again after a lost connection, and each play counts once`() async throws {
        let broker = try await startBroker()
        let store = try PlayStore(.memory)
        var connections = 0
        let left = try await withProcessor(broker: broker, store: store) {
            $0.realtimeBelow = 0
        } _: { fixture in
            let proxy = try CuttingProxy(
                on: fixture.loop, to: fixture.nsqd, cuttingAfter: [1, 3, 0, 2])
            let engine = ProducerEngine(on: fixture.loop, nsqd: proxy.address, logger: quiet)
            var made = 0
            var settings = PlayProducer.Settings()
            settings.playsPerBatch = 20
            settings.minRetryDelay = .milliseconds(5)
            let producer = PlayProducer(
                on: fixture.loop, publisher: engine, topic: plays, settings: settings
            ) {
                guard made < 1_000 else { return nil }
                made += 1
                return Array(play(made % 10, named: "\(made)").utf8)
            }
            var isPublished = false
            func endWhenDone() {
                guard isPublished, fixture.consumer.inFlight == 0,
                    fixture.processor.statistics.counted == 1_000
                else { return }
                connections = proxy.connections
                proxy.close()
                fixture.stop()
            }
            fixture.onEvent = { if case .finished = $0 { endWhenDone() } }
            fixture.start()
            engine.start()
            producer.start { outcome in
                #expect((try? outcome.get()) == 1_000)
                isPublished = true
                withExtendedLifetime(producer) { engine.stop { endWhenDone() } }
            }
        }
        #expect(connections == 5)
        #expect(left.messages == 0)
        #expect(try store.loadCounts().map(\.count) == Array(repeating: 100, count: 10))
        let published = await broker.statistics().topics.first { $0.name == "plays" }
        #expect(try #require(published).messageCount > 1_000)
        await broker.stop()
    }

    /// Each connection breaks after one response, with the other batches in flight. Each response
    /// resets the count of failures in a row, so the count stays 1 however many connections break.
    @Test func `publishes again after more lost connections than it may fail in a row`()
        async throws
    {
        let broker = try await startBroker()
        let nsqd = try SocketAddress(parsing: broker.tcpAddress)
        var outcome: Result<Int, any Error>?
        try onLoop { loop in
            let cuts = 8
            let proxy = try CuttingProxy(
                on: loop, to: nsqd, cuttingAfter: Array(repeating: 2, count: cuts))
            var options = Producer.Options.withoutWaiting
            options.client.minReconnectDelay = .milliseconds(1)
            options.client.maxReconnectDelay = .milliseconds(1)
            let engine = ProducerEngine(
                on: loop, nsqd: proxy.address, options: options, logger: quiet)
            var settings = PlayProducer.Settings()
            settings.playsPerBatch = 1
            settings.maxRetries = 5
            settings.minRetryDelay = .milliseconds(50)
            var made = 0
            let producer = PlayProducer(
                on: loop, publisher: engine, topic: plays, settings: settings
            ) {
                guard made < 100 else { return nil }
                made += 1
                return Array(play(1, named: "\(made)").utf8)
            }
            engine.start()
            producer.start { result in
                outcome = result
                #expect(proxy.connections == cuts + 1)
                proxy.close()
                withExtendedLifetime(producer) { engine.stop { loop.stop() } }
            }
        }
        #expect(try outcome?.get() == 100)
        await broker.stop()
    }

    @Test func `fails after the most failures in a row, with a doubled delay after each`()
        async throws
    {
        let broker = try await startBroker()
        let nsqd = try SocketAddress(parsing: broker.tcpAddress)
        var outcome: Result<Int, any Error>?
        var seconds = 0
        try onLoop(clock: .manual) { loop in
            let proxy = try CuttingProxy(on: loop, to: nsqd, cuttingAfter: [2])
            let engine = ProducerEngine(on: loop, nsqd: proxy.address, logger: quiet)
            var settings = PlayProducer.Settings()
            settings.playsPerBatch = 1
            settings.maxRetries = 3
            settings.minRetryDelay = .seconds(100)
            settings.maxRetryDelay = .seconds(10_000)
            var made = 0
            let producer = PlayProducer(
                on: loop, publisher: engine, topic: plays, settings: settings
            ) {
                made += 1
                return Array(play(1, named: "\(made)").utf8)
            }
            producer.onProgress = { _ in
                guard seconds == 0 else { return }
                // No further connection succeeds.
                proxy.close()
                loop.onIterationEnd = { [weak loop] in
                    guard outcome == nil, seconds < 5_000 else { return }
                    loop?.runInNextIteration {
                        seconds += 1
                        loop?.advance(by: .seconds(1))
                    }
                }
            }
            engine.start()
            producer.start { result in
                outcome = result
                withExtendedLifetime(producer) { engine.abandon { loop.stop() } }
            }
        }
        #expect(throws: NSQError.self) { try outcome?.get() }
        // Delays of 100, 200 and 400 s, and the iterations of the attempts.
        #expect((700..<900).contains(seconds))
        await broker.stop()
    }

    @Test func `does not publish plays without IDs again`() async throws {
        let broker = try await startBroker()
        let nsqd = try SocketAddress(parsing: broker.tcpAddress)
        var outcome: Result<Int, any Error>?
        try onLoop { loop in
            let proxy = try CuttingProxy(on: loop, to: nsqd, cuttingAfter: [1])
            let engine = ProducerEngine(on: loop, nsqd: proxy.address, logger: quiet)
            var bodies = [play(1, named: "a"), play(1)]
            let producer = PlayProducer(on: loop, publisher: engine, topic: plays) {
                bodies.popLast().map { Array($0.utf8) }
            }
            engine.start()
            producer.start { result in
                outcome = result
                proxy.close()
                withExtendedLifetime(producer) { engine.stop { loop.stop() } }
            }
        }
        #expect(throws: NSQError.self) { try outcome?.get() }
        let published = await broker.statistics().topics.first { $0.name == "plays" }
        #expect(try #require(published).messageCount == 2)
        await broker.stop()
    }

    private struct Run {
        var outcome: Result<Int, any Error>
        /// The number of messages at the broker.
        var messages: Int
        var batches: Int
        var mostAhead: Int
        var duration: Duration
    }

    private func produce(
        _ count: Int, padding: Int = 0, failing: (at: Int, error: any Error)? = nil,
        _ change: (inout PlayProducer.Settings) -> Void = { _ in }
    ) async throws -> Run {
        let broker = try await startBroker()
        var settings = PlayProducer.Settings()
        change(&settings)
        var outcome: Result<Int, any Error>?
        var mostAhead = 0
        var batches = 0
        let started = ContinuousClock.now
        try onLoop { loop in
            let engine = ProducerEngine(
                on: loop, nsqd: try SocketAddress(parsing: broker.tcpAddress))
            var made = 0
            var published = 0
            let field = String(repeating: "x", count: padding)
            let producer = PlayProducer(
                on: loop, publisher: engine, topic: plays, settings: settings
            ) {
                if let failing, failing.at == made { throw failing.error }
                guard made < count else { return nil }
                made += 1
                mostAhead = max(mostAhead, made - published)
                return Array("{\"video_id\":\"\(video(made))\",\"x\":\"\(field)\"}".utf8)
            }
            producer.onProgress = {
                published = $0
                batches += 1
            }
            engine.start()
            producer.start { result in
                outcome = result
                withExtendedLifetime(producer) { engine.stop { loop.stop() } }
            }
        }
        let topic = await broker.statistics().topics.first
        await broker.stop()
        return Run(
            outcome: try #require(outcome), messages: topic?.messageCount ?? 0,
            batches: batches, mostAhead: mostAhead, duration: ContinuousClock.now - started)
    }
}

/// A logger without output for expected errors.
private let quiet: Logger = {
    var logger = Logger(label: "producer")
    logger.logLevel = .critical
    return logger
}()
