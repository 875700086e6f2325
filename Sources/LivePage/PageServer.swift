import HTTP
import PlayCounts
import TallyBasics
import UVLoop

/// The server of the videos page: applies the processor's updates to the table of videos, and sends
/// them to browsers.
///
/// It encodes events only while a browser is connected, and for a short time after the last browser
/// has disconnected.
final class PageServer {
    /// The settings. ``setSource(_:produceCommand:)`` changes two of them, which may be unknown at
    /// the start.
    private(set) var settings: PageSettings
    private(set) var table = VideoTable()
    private(set) var statistics: PageStatistics
    private(set) var isStopping = false
    private var stopReason: String?
    /// The verdict of the run; `nil` until the run has ended.
    private(set) var verdict: PageVerdict?
    /// Reads the metrics of the processor.
    let monitor: ProcessorMonitor

    private let loop: Loop
    private let takeUpdate: () -> PageUpdate
    private lazy var routes = PageRoutes(of: self)
    private lazy var http = HTTPServer(serving: routes, on: loop)
    private let run: PageRun
    private var schedule: UpdateSchedule
    private(set) lazy var events = EventStream(
        runID: run.id, settings.streamLimits, on: loop,
        encodeState: { [unowned self] in encodeState() },
        subscribersChanged: { [unowned self] count in
            schedule.subscribersChanged(count: count, at: loop.instant)
        })
    /// The routes of the background jobs; `nil` without jobs.
    private(set) var jobs: JobsRoutes?
    /// The routes of topics and nodes; `nil` without them.
    private(set) var topics: TopicsRoutes?
    /// The last second that a `statistics` event contained, in seconds since 1970.
    private var lastStatisticsSecond: Int64 = 0

    private let updateTimer: Timer
    private let statisticsTimer: Timer

    /// - Parameters:
    ///   - totals: the counts in the store before the processor starts.
    ///   - takeUpdate: returns the calls and commits since its last call.
    init(
        _ settings: PageSettings, totals: [PlayCount], on loop: Loop,
        takeUpdate: @escaping () -> PageUpdate
    ) {
        self.settings = settings
        self.loop = loop
        self.takeUpdate = takeUpdate
        statistics = PageStatistics(of: settings, startedAt: loop.instant)
        schedule = UpdateSchedule(settings)
        let started = loop.wallClockNanoseconds / 1_000_000
        run = PageRun(id: String(started, radix: 36), started: started)
        updateTimer = Timer(on: loop)
        statisticsTimer = Timer(on: loop)
        monitor = ProcessorMonitor(on: loop, readTimeout: settings.processorTimeout)
        for total in totals {
            table.update(
                VideoTable.Row(
                    videoID: total.videoID, count: total.count, updated: 0, call: 0,
                    isImmediate: false))
        }
    }

    /// - Returns: the bound address, with the port that the kernel assigned if port 0 was
    ///   requested.
    func listen(at address: SocketAddress) throws(UVError) -> SocketAddress {
        http.limit = (settings.maxConnections, .tooManyConnections)
        http.bodyMemory = JobsRoutes.bodyBudget
        let bound = try http.listen(at: address)
        routes.setAddress(bound)
        statisticsTimer.start(
            after: settings.statisticsInterval, repeating: settings.statisticsInterval
        ) { [weak self] in
            guard let self else { return }
            readBacklog()
            if schedule.hasNewStatistics { scheduleUpdate() }
        }
        events.start()
        return bound
    }

    /// Sets the reason that the `end` event contains.
    func setStopReason(_ reason: String) { stopReason = reason }

    /// Sends the last update, and ends all responses.
    func stop(_ done: @escaping () -> Void) {
        sendUpdate(isLast: true)
        isStopping = true
        for timer in [updateTimer, statisticsTimer] { timer.close() }
        events.stop()
        jobs?.stop()
        topics?.stop()
        monitor.close()
        http.stop(done)
    }

    // MARK: Updates

    /// Schedules an update for the earliest time that the update schedule allows.
    func scheduleUpdate() {
        guard !isStopping else { return }
        updateTimer.start(after: schedule.delay(at: loop.instant)) { [weak self] in
            self?.sendUpdate()
        }
    }

    /// Replaces the source of the plays. Connected browsers receive the whole state again.
    func setSource(_ source: String, produceCommand: String?) {
        (settings.source, settings.produceCommand) = (source, produceCommand)
        events.sendState()
    }

    /// Also serves the jobs page, and shows the link to it.
    func addJobs(_ page: JobsMonitor) {
        guard !isStopping else { return }
        jobs = JobsRoutes(page, isBesideVideos: true, on: loop)
        topics?.otherPages.hasJobs = true
        if topics != nil { jobs?.setHasTopics() }
        events.sendState()
    }

    /// Also serves the pages of topics and nodes, and shows the links to them.
    func addTopics(_ page: TopicsPage) {
        guard !isStopping else { return }
        let others = TopicsRoutes.OtherPages(hasVideos: true, hasJobs: jobs != nil)
        topics = TopicsRoutes(page, beside: others, on: loop)
        jobs?.setHasTopics()
        events.sendState()
    }

    func setQueueState(_ queue: ChannelDepth?) {
        guard statistics.queue != queue else { return }
        statistics.queue = queue
        schedule.statisticsChanged()
    }

    /// Sets the time since the publish of the oldest received message that is not committed.
    func setBacklogAge(_ age: Duration) {
        guard statistics.backlogAge != age else { return }
        statistics.backlogAge = age
        schedule.statisticsChanged()
    }

    /// Sets the reason why no plays are counted at present; `nil` if counting works.
    func setProblem(_ problem: String?) {
        guard statistics.problem != problem else { return }
        statistics.problem = problem
        schedule.statisticsChanged()
        scheduleUpdate()
    }

    /// Sends the verdict to all connected browsers, and stores it for browsers that connect later.
    func setVerdict(_ verdict: Verdict) {
        self.verdict = PageVerdict(verdict: verdict, time: milliseconds(at: loop.instant))
        events.discardState()
        sendUpdate(withVerdict: true)
    }

    private func sendUpdate(isLast: Bool = false, withVerdict: Bool = false) {
        let now = loop.instant
        schedule.sendBegan(at: now)
        var batch = events.makeBatch()
        let update = takeUpdate()
        apply(update, at: now, &batch)
        if isLast || withVerdict || schedule.shouldSendStatistics(at: now) {
            batch.append("statistics", encodeStatistics(at: now))
        }
        if withVerdict, let verdict { batch.append("verdict", PageJSON.verdict(verdict)) }
        if isLast { batch.append("end", PageJSON.end(stopReason)) }
        guard !(batch.isEmpty && update.isEmpty) else { return }
        // The handler stops the measurement of this send. It runs after the writes to the
        // subscribers, which also run at the end of this loop iteration.
        defer { loop.callAtIterationEnd(self) }
        events.append(batch)
        if !update.isEmpty, update.skipped.calls.calls > 0 || !schedule.shouldRecordEvents(at: now)
        {
            events.invalidate()
        }
        guard !batch.isEmpty else { return }
        events.sendAppended()
    }

    private func apply(_ update: PageUpdate, at now: MonotonicInstant, _ events: inout EventBatch) {
        for (call, instant) in update.calls {
            let time = milliseconds(at: instant)
            for video in call.videos {
                table.update(VideoTable.Row(video, of: call, updated: time))
            }
            statistics.record(call, at: instant, milliseconds: time)
            if schedule.shouldRecordEvents(at: now) {
                events.append("call", PageJSON.call(call, atMilliseconds: time))
            }
        }
        for var row in update.skipped.totals.rows {
            row.updated += milliseconds(at: .start)
            table.update(row)
        }
        statistics.apply(update, second: milliseconds(at: now) / 1000)
        if !update.isEmpty { schedule.statisticsChanged() }
    }

    private func encodeStatistics(at now: MonotonicInstant) -> [UInt8] {
        let time = milliseconds(at: now)
        schedule.statisticsSent(at: now)
        defer { lastStatisticsSecond = time / 1000 }
        return PageJSON.statistics(
            statistics, table, atMilliseconds: time, since: lastStatisticsSecond)
    }

    /// Converts an instant of the monotonic clock to milliseconds since 1970.
    private func milliseconds(at instant: MonotonicInstant) -> Int64 {
        (loop.wallClockNanoseconds - (loop.nowNanoseconds - instant.nanoseconds)) / 1_000_000
    }

    private func encodeState() -> [UInt8] {
        PageJSON.state(
            statistics, table, settings, verdict, of: run, hasJobs: jobs != nil,
            hasTopics: topics != nil, atMilliseconds: milliseconds(at: loop.instant))
    }

    var subscriberCount: Int { events.subscriberCount }
}

extension PageServer: IterationEndHandler {
    func handleIterationEnd() { schedule.sendEnded(at: loop.instant) }
}
