import LivePage
import NSQBroker
import NSQClient
import NSQWire
import PlayCounts
import TallyBasics
import UVLoop

/// The logs of the demo's processor and client, from which the verdict is computed.
struct DemoProcessing: Sendable {
    /// All plays, with the time at which the processor received each.
    let received: PlayLog
    /// All calls, with the time at which the client received each.
    let calls: CallLog
    /// All commits.
    let batches: BatchLog
    /// The total time that the processor's thread was ready to run but waited for a CPU; `nil` if
    /// it is unknown.
    let schedulingDelay: Duration?
    let minimumCalls: Int
    let rejected: [Rejection: Int]
    let lastFinished: MonotonicInstant

    /// The channel that the processor consumes.
    static let channel = "counts"

    /// Starts the processor, and reports when all plays are finished and published.
    ///
    /// - Returns: a closure that reports the logs so far.
    static func run(
        _ run: DemoRun, on loop: Loop, _ report: @escaping (DemoRun.Event) -> Void
    ) throws -> () -> Void {
        let processor = try DemoProcessor(run, loop, report)
        processor.start()
        return processor.reportLogs
    }
}

/// Runs the demo's processor on a loop. The processor's observer retains this object until the run
/// ends.
private final class DemoProcessor {
    private let loop: Loop
    private let run: DemoRun
    private let report: (DemoRun.Event) -> Void
    private let client: CallLogSink
    private let processor: PlayProcessor

    private var received: PlayLog
    private var batches = BatchLog()
    private let delayAtStart = SchedulingDelay.ofThisThread
    private var planner: MinimumCalls
    private var rejected: [Rejection: Int] = [:]
    private var repeated = 0
    private var finished = 0
    private var lastFinished = MonotonicInstant.start
    private var isStopping = false
    private var hasReported = false

    init(_ run: DemoRun, _ loop: Loop, _ report: @escaping (DemoRun.Event) -> Void) throws {
        self.run = run
        self.loop = loop
        self.report = report
        client = CallLogSink(on: loop)
        received = PlayLog(minimumCapacity: run.plays.count)
        planner = MinimumCalls(coalesce: run.coalesce)
        var settings = PlayProcessor.Settings()
        settings.scheduler.coalesce = run.coalesce
        settings.stopTimeout = .seconds(30)
        let pipeline = ProcessorPipeline(
            nsqds: run.nsqds, client: run.client, topic: run.topic,
            channel: ChannelName(DemoProcessing.channel)!,
            maxInFlight: 2_500, settings: settings, store: run.store,
            logger: LineLog.logger("tally", .error))
        let consumer: ConsumerEngine
        // The page shows the calls that the demo's client receives. As a second client, it would
        // receive calls of its own.
        let sink = run.page?.sink(on: loop, showing: client) ?? client
        (processor, consumer) = try pipeline.build(
            on: loop, clients: [Client(DemoRun.clientName, sink: sink)])
        var missing = Set(run.nsqds.map(\.description))
        consumer.onConnection = { nsqd, error in
            // After the first connections, errors are ignored: the consumer reconnects to an nsqd
            // that restarts. If an nsqd stays away, the detection of a standstill ends the run.
            guard !missing.isEmpty else { return }
            if let error { return report(.failed(error)) }
            missing.remove(nsqd.description)
            guard missing.isEmpty else { return }
            run.counters.change { $0.isSubscribed = true }
            report(.subscribed)
        }
    }

    func start() {
        processor.onFailure = { self.report(.failed($0)) }
        processor.observer.counted = {
            self.received.record($0.videoID, at: $1)
            self.batches.recordPlay(iteration: self.loop.iteration)
            guard self.received.count == self.run.plays.count else { return }
            // The processor is stopped now, because its last batch would wait for more plays, and
            // there are none.
            self.loop.runInNextIteration { self.stop() }
        }
        processor.observer.duplicate = { _, _ in self.repeated += 1 }
        processor.observer.rejected = { self.rejected[$0, default: 0] += 1 }
        processor.observer.commitStarted = {
            self.batches.recordStart(iteration: self.loop.iteration)
        }
        processor.observer.committed = {
            self.planner.add($0, at: $1)
            self.batches.recordEnd(
                iteration: self.loop.iteration, callsSoFar: self.client.log.calls)
        }
        processor.observer.accepted = { _, call, _ in self.run.progress.set("calls", call.number) }
        processor.observer.finished = { self.finished($0, $1) }
        planner.add(run.unpublishedCounts(at: loop.instant), at: loop.instant)
        run.page?.observe(processor)
        processor.start()
    }

    private func finished(_ count: Int, _ instant: MonotonicInstant) {
        finished += count
        lastFinished = instant
        let counted = finished - repeated
        run.progress.set("counted", counted)
        run.counters.change { $0.counted = counted }
        if counted >= run.plays.count { stop() }
    }

    private func stop() {
        guard !isStopping else { return }
        isStopping = true
        processor.stop { self.reportLogs() }
    }

    /// Reports the logs once, and stops observing the processor.
    func reportLogs() {
        guard !hasReported else { return }
        hasReported = true
        processor.observer = PlayProcessor.Observer()
        processor.onFailure = { _ in }
        report(
            .processed(
                DemoProcessing(
                    received: received, calls: client.log, batches: batches,
                    schedulingDelay: schedulingDelay, minimumCalls: planner.totalCalls,
                    rejected: rejected, lastFinished: lastFinished)))
    }

    private var schedulingDelay: Duration? {
        guard let delayAtStart, let now = SchedulingDelay.ofThisThread else { return nil }
        return now - delayAtStart
    }
}
