import LivePage
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import UVLoop

/// The demo's processor and its client, and what they have to say for the verdict.
struct Processing: Sendable {
    /// Every play, when it was received.
    let received: PlayLog
    /// Every call, when the client got it.
    let calls: CallLog
    let plannerCalls: Int
    let rejected: [Rejection: Int]
    let lastFinished: Instant

    /// The channel it takes them through.
    static let channel = "counts"

    /// Counts the run's plays on `loop`, and tells when all are finished and published.
    static func run(
        _ run: DemoRun, on loop: Loop, _ tell: @escaping (DemoRun.Event) -> Void
    ) throws {
        let stage = try ProcessingStage(run, loop, tell)
        stage.start()
    }
}

/// Lives on the processor's loop, kept by what it observes until it ends.
private final class ProcessingStage {
    private let loop: Loop
    private let run: DemoRun
    private let tell: (DemoRun.Event) -> Void
    private let client: CallLogSink
    private let processor: PlayProcessor

    private var received: PlayLog
    private var planner: CallPlanner
    private var rejected: [Rejection: Int] = [:]
    private var repeated = 0
    private var finished = 0
    private var lastFinished = Instant.start
    private var isStopping = false

    init(_ run: DemoRun, _ loop: Loop, _ tell: @escaping (DemoRun.Event) -> Void) throws {
        self.run = run
        self.loop = loop
        self.tell = tell
        client = CallLogSink(on: loop)
        received = PlayLog(minimumCapacity: run.plays.count)
        planner = CallPlanner(coalesce: run.coalesce)
        var settings = PlayProcessor.Settings()
        settings.publisher.coalesce = run.coalesce
        let assembly = ProcessorAssembly(
            nsqds: [run.nsqd], topic: run.topic, channel: ChannelName(Processing.channel)!,
            maxInFlight: 2_500, settings: settings, store: run.store,
            logger: LineLog.logger("tally", .error))
        let consumer: ConsumerEngine
        // The page shows what the client takes, and no calls of its own beside.
        let sink = run.page?.sink(on: loop, showing: client) ?? client
        (processor, consumer) = try assembly.build(
            on: loop, clients: [Client(DemoRun.client, sink: sink)])
        consumer.onConnection = { _, error in
            if let error { tell(.failed(error)) }
        }
    }

    func start() {
        processor.onFailure = { self.tell(.failed($0)) }
        processor.observer.received = { self.received.record($0.videoID, at: $1) }
        processor.observer.repeated = { _, _ in self.repeated += 1 }
        processor.observer.rejected = { self.rejected[$0, default: 0] += 1 }
        processor.observer.committed = { self.planner.receive($0, at: $1) }
        processor.observer.called = { _, call, _ in self.run.progress.set("calls", call.number) }
        processor.observer.finished = { self.finished($0, $1) }
        planner.receive(run.leftOver(at: loop.instant), at: loop.instant)
        run.page?.watch(processor)
        processor.start()
    }

    private func finished(_ count: Int, _ instant: Instant) {
        finished += count
        lastFinished = instant
        run.progress.set("counted", finished - repeated)
        guard finished - repeated >= run.plays.count, !isStopping else { return }
        isStopping = true
        processor.stop { self.end() }
    }

    private func end() {
        processor.observer = PlayProcessor.Observer()
        processor.onFailure = { _ in }
        tell(
            .processed(
                Processing(
                    received: received, calls: client.log, plannerCalls: planner.callsToTheEnd,
                    rejected: rejected, lastFinished: lastFinished)))
    }
}
