import HTTP
import PlayCounts
import UVLoop

/// The page on its loop: takes news, keeps the table, and tells the browsers.
///
/// News that come while browsers were told lately wait for the next time, so that what the thread
/// does is bounded however many calls there are and however many browsers listen. An event is put
/// into words once. A browser that does not read is left where it is, and given the state when it
/// reads again, if the log has gone on without it.
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
        var events = EventBatch(after: log.last, of: run)
        let news = takeNews()
        take(news, at: now, &events)
        if last || hasNewFigures && now + settings.shortestPause >= statisticsAt {
            events.add("statistics", statistics(at: now))
        }
        if last { events.add("end", Array("{}".utf8)) }
        guard !events.ends.isEmpty else { return }
        log.append(events)
        if news.missed.calls > 0 { log.breakOff() }
        toldAt = now
        for browser in browsers.values { browser.body?.resume() }
        // The browsers' writes are joined before this, and so are over when it runs.
        loop.atEndOfTurn(self)
    }

    private func take(_ news: News, at now: Instant, _ events: inout EventBatch) {
        for (changes, instant) in news.commits { figures.committed(changes, at: instant) }
        if news.hasMissedCommits { figures.missedCommits() }
        for (call, instant) in news.calls {
            let time = milliseconds(at: instant)
            publish(call, time)
            figures.called(call, at: instant, second: time / 1000)
            events.add("call", PageJSON.call(call, atMilliseconds: time))
        }
        for (videoID, total) in news.missed.totals {
            table.publish(
                VideoTable.Row(
                    videoID: videoID, count: total.count, updated: milliseconds(at: total.instant),
                    call: UInt32(truncatingIfNeeded: total.call), isImmediate: total.isImmediate))
        }
        let second = milliseconds(at: now) / 1000
        figures.missed(news.missed, second: second)
        figures.counted(news.counted, second: second)
        if !news.isEmpty { hasNewFigures = true }
    }

    private func publish(_ call: Call, _ time: Int64) {
        for video in call.videos {
            table.publish(
                VideoTable.Row(
                    videoID: video.count.videoID, count: video.count.count, updated: time,
                    call: UInt32(truncatingIfNeeded: call.number), isImmediate: video.isImmediate))
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
        let id = lastHeard.flatMap(EventID.init)
        let browser = Browser(of: self, at: id.flatMap { $0.run == run ? $0.number : nil })
        browsers[ObjectIdentifier(browser)] = browser
        return browser
    }

    func left(_ browser: Browser) {
        browsers[ObjectIdentifier(browser)] = nil
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
        let work = now - toldAt
        let rest = min(work * settings.restPerWork, settings.longestPause)
        mayTellAt = now + max(settings.shortestPause, rest)
    }
}
