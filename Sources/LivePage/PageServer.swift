import HTTP
import PlayCounts
import UVLoop

/// The page on its loop: takes news, keeps the table, and tells the browsers.
///
/// News that come while browsers were told lately wait for the next time, so that what the thread
/// does is bounded however many calls there are and however many browsers listen. An event is put
/// into words once, and not at all where nobody has listened for a while. A browser that does not
/// read is left where it is, and given the state when it reads again, if the log has gone on
/// without it.
final class PageServer {
    let settings: PageSettings
    private(set) var table = VideoTable()
    private(set) var figures: Figures
    private(set) var isStopping = false

    private let loop: Loop
    private let takeNews: () -> News
    private lazy var routes = PageRoutes(of: self)
    private lazy var http = HTTPServer(serving: routes, on: loop)
    private let run: String
    private var log: EventLog
    private var browsers: [ObjectIdentifier: Browser] = [:]
    /// The last state that was put into words, and when.
    private var state: (piece: HTTPPiece, cursor: Int, instant: Instant)?
    private let signOfLife = HTTPPiece(": still here\n\n".utf8)

    private let pause: Timer
    private let statisticsTimer: Timer
    private let keepAliveTimer: Timer
    private var toldAt = Instant.start
    private var begunAt = Instant.start
    /// The last browser left then, if there is none.
    private var leftAt: Instant?
    /// Calls were not put into words: who comes next needs the state.
    private var wasSilent = false
    private var mayTellAt = Instant.start
    private var statisticsAt = Instant.start
    private var statisticsSecond: Int64 = 0
    private var hasNewFigures = false

    /// For how long a state that was put into words does, where the log leads on from it.
    private static let stateLasts = Duration.milliseconds(250)

    init(
        _ settings: PageSettings, totals: [PlayCount], on loop: Loop,
        takeNews: @escaping () -> News
    ) {
        self.settings = settings
        self.loop = loop
        self.takeNews = takeNews
        figures = Figures(of: settings)
        run = String(loop.wallClockNanoseconds / 1_000_000, radix: 36)
        log = EventLog(maxBytes: settings.eventBytes)
        pause = Timer(on: loop)
        statisticsTimer = Timer(on: loop)
        keepAliveTimer = Timer(on: loop)
        for total in totals {
            table.publish(
                VideoTable.Row(
                    videoID: total.videoID, count: total.count, updated: 0, call: 0,
                    isImmediate: false))
        }
    }

    func listen(at address: SocketAddress) throws(UVError) -> SocketAddress {
        let bound = try http.listen(at: address)
        routes.listens(at: bound)
        statisticsTimer.start(
            after: settings.statisticsInterval, repeating: settings.statisticsInterval
        ) { [weak self] in self?.tellFigures() }
        keepAliveTimer.start(after: settings.keepAlive, repeating: settings.keepAlive) {
            [weak self] in self?.tellOfLife()
        }
        return bound
    }

    // MARK: News

    /// There are some: browsers are told as soon as they may be.
    func newsCame() {
        guard !isStopping else { return }
        pause.start(after: max(.zero, mayTellAt - loop.instant)) { [weak self] in self?.tell() }
    }

    func queueIs(_ queue: QueueState?) {
        guard figures.queue != queue else { return }
        figures.queue = queue
        hasNewFigures = true
    }

    private func tell(last: Bool = false) {
        let now = loop.instant
        begunAt = now
        var events = EventBatch(after: log.last, of: run)
        let news = takeNews()
        take(news, at: now, &events)
        let isTime = hasNewFigures && now + settings.shortestPause >= statisticsAt
        if last || isTime && isHeard { events.add("statistics", statistics(at: now)) }
        if last { events.add("end", Array("{}".utf8)) }
        guard !(events.ends.isEmpty && news.isEmpty) else { return }
        // The browsers' writes are joined before this, and so are over when it runs.
        defer { loop.atEndOfTurn(self) }
        guard !events.ends.isEmpty else { return }
        log.append(events)
        if news.missed.calls > 0 { log.breakOff() }
        toldAt = now
        for browser in browsers.values { browser.body?.resume() }
    }

    private func take(_ news: News, at now: Instant, _ events: inout EventBatch) {
        for (call, instant) in news.calls {
            let time = milliseconds(at: instant)
            publish(call, time)
            figures.called(call, at: instant, second: time / 1000)
            if isHeard { events.add("call", PageJSON.call(call, atMilliseconds: time)) }
        }
        for var row in news.missed.totals.rows {
            row.updated += milliseconds(at: .start)
            table.publish(row)
        }
        let second = milliseconds(at: now) / 1000
        figures.missed(news.missed, second: second)
        figures.counted(news.counted, second: second)
        figures.hear(news)
        if !news.isEmpty { hasNewFigures = true }
        if !news.isEmpty, !isHeard { wasSilent = true }
    }

    /// One that broke off and comes back soon finds what it missed.
    private var isHeard: Bool {
        !browsers.isEmpty || leftAt.map { loop.instant - $0 < settings.longestAbsence } ?? false
    }

    private func publish(_ call: Call, _ time: Int64) {
        for video in call.videos {
            table.publish(VideoTable.Row(video, of: call, updated: time))
        }
    }

    private func statistics(at now: Instant) -> [UInt8] {
        let time = milliseconds(at: now)
        hasNewFigures = false
        statisticsAt = now + settings.statisticsInterval
        defer { statisticsSecond = time / 1000 }
        return PageJSON.statistics(
            figures, table, atMilliseconds: time, since: statisticsSecond)
    }

    private func tellFigures() {
        if hasNewFigures { newsCame() }
    }

    private func tellOfLife() {
        guard loop.instant - toldAt >= settings.keepAlive else { return }
        for browser in browsers.values {
            browser.isOwedSign = true
            browser.body?.resume()
        }
    }

    /// A moment of the monotonic clock on the wall's, in milliseconds since 1970.
    private func milliseconds(at instant: Instant) -> Int64 {
        (loop.wallClockNanoseconds - (loop.nowNanoseconds - instant.nanoseconds)) / 1_000_000
    }

    // MARK: Browsers

    var hasRoom: Bool { browsers.count < settings.maxBrowsers }

    /// One that listens from now on, or from where it broke off.
    func join(after lastHeard: String?) -> Browser {
        if wasSilent { log.breakOff() }
        wasSilent = false
        let id = lastHeard.flatMap(EventID.init)
        let browser = Browser(of: self, at: id.flatMap { $0.run == run ? $0.number : nil })
        browsers[ObjectIdentifier(browser)] = browser
        return browser
    }

    func left(_ browser: Browser) {
        browsers[ObjectIdentifier(browser)] = nil
        if browsers.isEmpty { leftAt = loop.instant }
    }

    func nextPiece(for browser: Browser) -> HTTPPiece? {
        guard let cursor = browser.cursor, log.holds(cursor) else {
            let state = presentState()
            browser.cursor = state.cursor
            return state.piece
        }
        if let next = log.next(after: cursor) {
            browser.cursor = next.last
            return next.piece
        }
        guard browser.isOwedSign else { return nil }
        browser.isOwedSign = false
        return signOfLife
    }

    /// One that is not quite new does for many, as the log leads on from it.
    private func presentState() -> (piece: HTTPPiece, cursor: Int) {
        let now = loop.instant
        if let state, log.holds(state.cursor), now - state.instant < Self.stateLasts {
            return (state.piece, state.cursor)
        }
        let json = PageJSON.state(
            figures, table, settings, atMilliseconds: milliseconds(at: now))
        let event = EventBatch.event("state", EventID(run: run, number: log.last), json)
        let piece = HTTPPiece(Array("retry: 2000\n".utf8) + event)
        state = (piece, log.last, now)
        return (piece, log.last)
    }

    // MARK: The end

    /// Tells what is left to tell, and ends every answer.
    func stop(_ done: @escaping () -> Void) {
        tell(last: true)
        isStopping = true
        for timer in [pause, statisticsTimer, keepAliveTimer] { timer.close() }
        http.stop(done)
    }
}

extension PageServer: EndOfTurnParticipant {
    func turnEnds() {
        let now = loop.instant
        let work = now - begunAt
        let rest = min(work * settings.restPerWork, settings.longestPause)
        mayTellAt = now + max(settings.shortestPause, rest)
    }
}
