import Logging
import NSQClient
import NSQWire
import PlayCounts
import UVLoop

/// One run of the demo on a loop of its own: a producer, a processor, and the logs of what was
/// sent and of what the client was told, from which the verdict is drawn.
final class DemoRun: Sendable {
    enum Outcome: Sendable {
        case finished(Verdict)
        case failed(any Error)
        case interrupted(String)
    }

    private let thread: LoopThread
    private let outcomes: AsyncStream<Outcome>

    /// Starts at once.
    init(
        plays: PlayGenerator, nsqd: SocketAddress, topic: TopicName, store: PlayStore, rate: Int,
        isEmbedded: Bool, progress: Progress
    ) throws {
        let (outcomes, continuation) = AsyncStream.makeStream(of: Outcome.self)
        self.outcomes = outcomes
        thread = try LoopThread(name: "demo")
        thread.door.submit { loop in
            do {
                let stage = try DemoStage(
                    on: loop, plays: plays, nsqd: nsqd, topic: topic, store: store, rate: rate,
                    broker: isEmbedded ? "embedded" : nsqd.description, progress: progress)
                // The stage is kept by its own callbacks until it ends.
                stage.start { continuation.yield($0) }
            } catch {
                continuation.yield(.failed(error))
            }
        }
    }

    /// Waits for the end, or for a signal.
    func outcome(unless signals: StopSignals) async -> Outcome {
        let outcome = await withTaskGroup(of: Outcome?.self) { group in
            group.addTask { [outcomes] in
                for await outcome in outcomes { return outcome }
                return nil
            }
            group.addTask { await signals.next().map { .interrupted($0) } }
            defer { group.cancelAll() }
            while let outcome = await group.next() {
                if let outcome { return outcome }
            }
            return .interrupted("stopped")
        }
        thread.stop()
        thread.join()
        return outcome
    }
}

/// What lives on the demo's loop.
private final class DemoStage {
    private let loop: Loop
    private let plays: PlayGenerator
    private let progress: Progress
    private let broker: String
    private let countsBefore: [PlayCount]
    private let client: CallLogSink
    private let engine: ProducerEngine
    private let processor: PlayProcessor
    private let consumer: ConsumerEngine
    private let topic: TopicName
    private let rate: Int
    private var producer: PlayProducer!

    private var sent = PlayLog()
    private var received = PlayLog()
    private var planner = CallPlanner()
    private var rejected = 0
    private var finished = 0
    private var calls = 0
    private var firstSent: Instant?
    private var lastFinished: Instant?
    private var isProduced = false
    private var whenOver: ((DemoRun.Outcome) -> Void)?

    init(
        on loop: Loop, plays: PlayGenerator, nsqd: SocketAddress, topic: TopicName,
        store: PlayStore, rate: Int, broker: String, progress: Progress
    ) throws {
        self.loop = loop
        self.plays = plays
        self.topic = topic
        self.rate = rate
        self.broker = broker
        self.progress = progress
        countsBefore = try store.load().map { PlayCount(of: $0.videoID, $0.published) }
        client = CallLogSink(on: loop)
        let logger = LineLog.logger("tally", .warn)
        let assembly = ProcessorAssembly(
            nsqds: [nsqd], topic: topic, channel: ChannelName("counts")!, maxInFlight: 2_500,
            settings: PlayProcessor.Settings(), store: store, logger: logger)
        (processor, consumer) = try assembly.build(on: loop, sink: client)
        engine = ProducerEngine(on: loop, nsqd: nsqd, logger: logger)
    }

    func start(_ whenOver: @escaping (DemoRun.Outcome) -> Void) {
        self.whenOver = whenOver
        observe()
        engine.start()
        processor.start()
        var settings = PlayProducer.Settings()
        settings.rate = rate
        producer = PlayProducer(
            on: loop, engine: engine, topic: topic, settings: settings, source: nextBody)
        producer.onProgress = { [progress] in progress.set("published", $0) }
        producer.start { self.produced($0) }
    }

    private func observe() {
        processor.onFailure = { self.end(.failed($0)) }
        consumer.onConnection = { [weak self] _, error in
            guard let self, let error, received.count == 0 else { return }
            end(.failed(error))
        }
        processor.observer.received = { [unowned self] play, instant in
            received.record(play.videoID, at: instant)
        }
        processor.observer.rejected = { [unowned self] _ in rejected += 1 }
        processor.observer.committed = { [unowned self] changes, instant in
            planner.receive(changes, at: instant)
        }
        processor.observer.called = { [unowned self] _, _ in
            calls += 1
            progress.set("calls", calls)
        }
        processor.observer.finished = { [unowned self] count, instant in
            finished += count
            lastFinished = instant
            progress.set("counted", finished)
            stopIfAllIsFinished()
        }
    }

    private func nextBody() -> [UInt8]? {
        guard sent.count < plays.count else { return nil }
        let play = plays[sent.count]
        let now = loop.instant
        if firstSent == nil { firstSent = now }
        sent.record(play.videoID, at: now)
        return play.json
    }

    private func produced(_ outcome: Result<Int, any Error>) {
        switch outcome {
        case .failure(let error): end(.failed(error))
        case .success:
            isProduced = true
            stopIfAllIsFinished()
        }
    }

    private func stopIfAllIsFinished() {
        guard isProduced, finished >= plays.count else { return }
        isProduced = false
        engine.stop { [processor] in
            processor.stop { self.end(.finished(self.verdict)) }
        }
    }

    private func end(_ outcome: DemoRun.Outcome) {
        whenOver?(outcome)
        whenOver = nil
    }

    private var verdict: Verdict {
        let duration = (lastFinished ?? .start) - (firstSent ?? .start)
        return Verdict(
            produced: sent, received: received, calls: client.log,
            of: Verdict.Run(
                plannerCalls: planner.callsToTheEnd, rejected: rejected, duration: duration,
                broker: broker, countsBefore: countsBefore))
    }
}
