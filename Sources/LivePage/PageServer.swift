import HTTP
import PlayCounts
import TallyBasics
import UVLoop

/// The page's server: applies the processor's updates to the table, and sends them to browsers.
///
/// The server encodes each event once for all subscribers. Without subscribers it encodes no events,
/// except for a short time after the last one has left. It queues no events for a subscriber that does
/// not read. If the event log has by then removed the next event of such a subscriber, the subscriber
/// receives the whole state.
final class PageServer {
    /// The settings; their source may be known only after the start.
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
    private var log: EventLog
    private var subscribers: [ObjectIdentifier: EventSubscriber] = [:]
    /// The last encoded state, which subscribers that connect shortly after one another share.
    private var state: (piece: HTTPChunk, cursor: Int, instant: MonotonicInstant)?
    /// The last second that a `statistics` event contained, in seconds since 1970.
    private var lastStatisticsSecond: Int64 = 0

    private let updateTimer: Timer
    private let statisticsTimer: Timer
    private let keepAliveTimer: Timer

    private let keepAliveEvent = HTTPChunk("event: alive\ndata: {}\n\n".utf8)
    private static let maxStateAge = Duration.milliseconds(250)

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
        log = EventLog(maxBytes: settings.maxEventLogBytes)
        updateTimer = Timer(on: loop)
        statisticsTimer = Timer(on: loop)
        keepAliveTimer = Timer(on: loop)
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
        let bound = try http.listen(at: address)
        routes.setAddress(bound)
        statisticsTimer.start(
            after: settings.statisticsInterval, repeating: settings.statisticsInterval
        ) { [weak self] in
            guard let self else { return }
            readBacklog()
            if schedule.hasNewStatistics { scheduleUpdate() }
        }
        keepAliveTimer.start(
            after: settings.keepAliveInterval, repeating: settings.keepAliveInterval
        ) { [weak self] in self?.sendKeepAlives() }
        return bound
    }

    /// Sets the reason that the `end` event contains.
    func setStopReason(_ reason: String) { stopReason = reason }

    /// Sends the last update, and ends all responses.
    func stop(_ done: @escaping () -> Void) {
        sendUpdate(isLast: true)
        isStopping = true
        for timer in [updateTimer, statisticsTimer, keepAliveTimer] { timer.close() }
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
        state = nil
        log.invalidate()
        for subscriber in subscribers.values { subscriber.resume() }
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

    /// Sends the verdict to all browsers, and stores it for later ones.
    func setVerdict(_ verdict: Verdict) {
        self.verdict = PageVerdict(verdict: verdict, time: milliseconds(at: loop.instant))
        state = nil
        sendUpdate(withVerdict: true)
    }

    private func sendUpdate(isLast: Bool = false, withVerdict: Bool = false) {
        let now = loop.instant
        schedule.sendBegan(at: now)
        var events = EventBatch(after: log.last, runID: run.id)
        let update = takeUpdate()
        apply(update, at: now, &events)
        if isLast || withVerdict || schedule.shouldSendStatistics(at: now) {
            events.append("statistics", encodeStatistics(at: now))
        }
        if withVerdict, let verdict { events.append("verdict", PageJSON.verdict(verdict)) }
        if isLast { events.append("end", PageJSON.end(stopReason)) }
        guard !(events.isEmpty && update.isEmpty) else { return }
        // The subscribers' writes also run at the end of this iteration; this handler runs after
        // them.
        defer { loop.callAtIterationEnd(self) }
        log.append(events)
        if !update.isEmpty, update.skipped.calls.calls > 0 || !schedule.shouldRecordEvents(at: now)
        {
            log.invalidate()
        }
        guard !events.isEmpty else { return }
        schedule.eventsSent(at: now)
        for subscriber in subscribers.values { subscriber.resume() }
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

    private func sendKeepAlives() {
        guard schedule.isKeepAliveDue(at: loop.instant) else { return }
        for subscriber in subscribers.values {
            subscriber.needsKeepAlive = true
            subscriber.resume()
        }
    }

    /// Converts an instant of the monotonic clock to milliseconds since 1970.
    private func milliseconds(at instant: MonotonicInstant) -> Int64 {
        (loop.wallClockNanoseconds - (loop.nowNanoseconds - instant.nanoseconds)) / 1_000_000
    }

    // MARK: Subscribers

    var acceptsSubscribers: Bool { !isStopping && subscribers.count < settings.maxSubscribers }

    var subscriberCount: Int { subscribers.count }

    /// - Parameter lastEventID: the last event that the browser received before it reconnected.
    func addSubscriber(after lastEventID: String?) -> EventSubscriber {
        let id = lastEventID.flatMap(EventID.init)
        let cursor = id.flatMap { $0.runID == run.id ? $0.number : nil }
        let subscriber = EventSubscriber(of: self, at: cursor)
        subscribers[ObjectIdentifier(subscriber)] = subscriber
        schedule.subscribersChanged(count: subscribers.count, at: loop.instant)
        return subscriber
    }

    func remove(_ subscriber: EventSubscriber) {
        subscribers[ObjectIdentifier(subscriber)] = nil
        schedule.subscribersChanged(count: subscribers.count, at: loop.instant)
    }

    /// Returns the next bytes for a subscriber; `nil` if the subscriber has all events.
    func nextPiece(for subscriber: EventSubscriber) -> HTTPChunk? {
        guard let cursor = subscriber.cursor, log.canContinue(after: cursor) else {
            let state = currentState()
            subscriber.cursor = state.cursor
            return state.piece
        }
        if let next = log.next(after: cursor) {
            subscriber.cursor = next.last
            return next.piece
        }
        guard subscriber.needsKeepAlive else { return nil }
        subscriber.needsKeepAlive = false
        return keepAliveEvent
    }

    /// Returns a recently encoded state if the log has all later events, and otherwise a new state.
    private func currentState() -> (piece: HTTPChunk, cursor: Int) {
        let now = loop.instant
        if let state, log.canContinue(after: state.cursor), now - state.instant < Self.maxStateAge {
            return (state.piece, state.cursor)
        }
        let json = PageJSON.state(
            statistics, table, settings, verdict, of: run, atMilliseconds: milliseconds(at: now))
        let event = EventBatch.encode("state", EventID(runID: run.id, number: log.last), json)
        let piece = HTTPChunk(Array("retry: 2000\n".utf8) + event)
        state = (piece, log.last, now)
        return (piece, log.last)
    }
}

extension PageServer: IterationEndHandler {
    func handleIterationEnd() { schedule.sendEnded(at: loop.instant) }
}
