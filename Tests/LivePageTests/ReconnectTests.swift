import HTTP
import PlayCounts
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import LivePage

@Suite(.blocking) struct `A browser that connects again` {
    private let fixture: PageServerFixture
    private var server: PageServer { fixture.server }

    init() throws { fixture = try PageServerFixture() }

    /// Connects a browser, which receives the state and a call, and disconnects it.
    ///
    /// - Returns: the ID of the last event that it received.
    private func lastIDOfDisconnected() throws -> String {
        let browser = server.events.addSubscriber(after: nil)
        #expect(fixture.read(browser).map(\.name) == ["state"])
        fixture.play([1])
        let events = fixture.read(browser)
        #expect(events.first?.name == "call")
        server.events.remove(browser)
        return try #require(events.last?.id)
    }

    @Test func `after less than the event retention receives the calls meanwhile`() throws {
        let lastID = try lastIDOfDisconnected()
        fixture.loop.advance(by: .milliseconds(29_999))
        fixture.play([2])
        fixture.play([3])
        let events = fixture.read(server.events.addSubscriber(after: lastID))
        #expect(events.filter { $0.name == "call" }.count == 2)
        #expect(!events.contains { $0.name == "state" })
    }

    @Test func `after more than the event retention receives the state`() throws {
        let lastID = try lastIDOfDisconnected()
        fixture.loop.advance(by: .seconds(30))
        fixture.play([2])
        let browser = server.events.addSubscriber(after: lastID)
        let events = fixture.read(browser)
        try #require(events.map(\.name) == ["state"])
        let state = try events[0].json(as: StateJSON.self)
        #expect(Set(state.videos.map(\.video_id)) == [video(1).text, video(2).text])
        #expect(state.latest_calls.map(\.number) == [1, 2])
        fixture.play([3])
        #expect(fixture.read(browser).first?.name == "call")
    }

    @Test func `receives nothing if nothing happened meanwhile, however long it was away`() throws {
        let lastID = try lastIDOfDisconnected()
        fixture.loop.advance(by: .seconds(3600))
        #expect(fixture.read(server.events.addSubscriber(after: lastID)).isEmpty)
    }

    @Test func `with the ID of an event of another run receives the state`() throws {
        let lastID = try lastIDOfDisconnected()
        fixture.play([2])
        let number = lastID.split(separator: "-")[1]
        #expect(
            fixture.read(server.events.addSubscriber(after: "other-\(number)")).first?.name
                == "state")
        #expect(fixture.read(server.events.addSubscriber(after: lastID)).first?.name == "call")
    }

    @Test func `receives the state if the events behind its last one were removed`() throws {
        let small = try PageServerFixture { $0.maxEventLogBytes = 1 }
        let browser = small.server.events.addSubscriber(after: nil)
        _ = small.read(browser)
        small.play([1])
        let lastID = try #require(small.read(browser).last?.id)
        for number in 2...3 { small.play([number]) }
        let events = small.read(small.server.events.addSubscriber(after: lastID))
        try #require(events.map(\.name) == ["state"])
        #expect(try events[0].json(as: StateJSON.self).videos.count == 3)
    }
}

@Suite(.blocking) struct `An update with more calls than it holds` {
    @Test func `sends the state to connected browsers, with all totals and their times`() throws {
        let fixture = try PageServerFixture(videosPerCall: 1) { $0.videosInState = 10_000 }
        let browser = fixture.server.events.addSubscriber(after: nil)
        _ = fixture.read(browser)
        let count = PageUpdate.maxCalls + 1
        fixture.loop.advance(by: .seconds(100))
        for number in 1...count { fixture.enqueue([number]) }
        fixture.update()
        let events = fixture.read(browser)
        try #require(events.map(\.name) == ["state"])
        let state = try events[0].json(as: StateJSON.self)
        #expect(state.videos.count == count)
        #expect(state.statistics.calls.made == count)
        #expect(state.statistics.videos == count)
        let times = (1...count).map { fixture.server.table[video($0)]!.updated }
        // Both times are rounded to milliseconds, so they can differ by one.
        #expect(times.allSatisfy { abs($0 - Int64(state.statistics.time)) <= 1 })
        fixture.play([1])
        #expect(fixture.read(browser).first?.name == "call")
    }
}

@Suite(.blocking) struct `A state that browsers share` {
    private let fixture: PageServerFixture
    private var server: PageServer { fixture.server }

    /// The page records no events while no browser is connected.
    init() throws { fixture = try PageServerFixture { $0.eventRetention = .zero } }

    private func state() throws -> StateJSON {
        let browser = server.events.addSubscriber(after: nil)
        let events = fixture.read(browser)
        server.events.remove(browser)
        try #require(events.map(\.name) == ["state"])
        return try events[0].json(as: StateJSON.self)
    }

    @Test func `is at most a quarter of a second old`() throws {
        #expect(try state().statistics.queue == nil)
        server.setQueueState(ChannelDepth(depth: 1, inFlight: 0, deferred: 0))
        fixture.loop.advance(by: .milliseconds(249))
        #expect(try state().statistics.queue == nil)
        fixture.loop.advance(by: .milliseconds(1))
        #expect(try state().statistics.queue?.depth == 1)
    }

    @Test func `is replaced at once if the log has not all later events`() throws {
        #expect(try state().videos.isEmpty)
        fixture.play([1])
        #expect(try state().videos.count == 1)
    }

    @Test func `is replaced at once by the verdict and by another source`() throws {
        #expect(try state().verdict == nil)
        server.setVerdict(
            Verdict(
                produced: PlayLog(), received: PlayLog(), batches: BatchLog(), calls: CallLog(),
                of: Verdict.Run(minimumCalls: 0, duration: .zero, standstill: nil)))
        #expect(try state().verdict != nil)
        server.setSource("an nsqd", produceCommand: nil)
        #expect(try state().settings.source == "an nsqd")
    }
}

@Suite(.blocking) struct `The statistics events` {
    private let fixture: PageServerFixture
    private var server: PageServer { fixture.server }

    init() throws { fixture = try PageServerFixture() }

    private func statistics(of browser: EventSubscriber) throws -> [StatisticsJSON] {
        try fixture.read(browser).filter { $0.name == "statistics" }
            .map { try $0.json(as: StatisticsJSON.self) }
    }

    /// Advances the clock to the beginning of the next second.
    private func beginSecond() {
        let nanoseconds = fixture.loop.wallClockNanoseconds % 1_000_000_000
        fixture.loop.advance(by: .nanoseconds(1_000_000_000 - nanoseconds))
    }

    @Test func `repeat the second that was incomplete, and none before it`() throws {
        let browser = server.events.addSubscriber(after: nil)
        _ = fixture.read(browser)
        beginSecond()
        fixture.play([1])
        #expect(try statistics(of: browser).last?.seconds.map(\.immediate_videos) == [1])
        fixture.loop.advance(by: .milliseconds(600))
        fixture.play([2])
        #expect(try statistics(of: browser).last?.seconds.map(\.immediate_videos) == [2])
        beginSecond()
        fixture.loop.advance(by: .milliseconds(200))
        fixture.play([3])
        #expect(try statistics(of: browser).last?.seconds.map(\.immediate_videos) == [2, 1])
        beginSecond()
        fixture.play([4])
        #expect(try statistics(of: browser).last?.seconds.map(\.immediate_videos) == [1, 1])
    }

    @Test func `are not sent to a browser after the page has stopped`() {
        #expect(server.events.acceptsSubscribers)
        server.stop {}
        #expect(!server.events.acceptsSubscribers)
    }

    @Test func `count the plays since the start once`() throws {
        let browser = server.events.addSubscriber(after: nil)
        _ = fixture.read(browser)
        let change = CountChange(
            videoID: video(1), count: 1, arrival: fixture.loop.instant, isImmediate: false)
        beginSecond()
        fixture.commit([change], counted: 5)
        fixture.commit([change], counted: 5)
        #expect(server.statistics.counted == 5)
        #expect(server.statistics.seconds.map(\.plays) == [5])
    }
}

@Suite(.blocking) struct `The alive events of the page` {
    @Test func `are sent after five seconds without another event`() throws {
        let fixture = try PageServerFixture()
        _ = try fixture.server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
        let browser = fixture.server.events.addSubscriber(after: nil)
        _ = fixture.read(browser)
        fixture.loop.advance(by: .seconds(3))
        fixture.play([1])
        _ = fixture.read(browser)
        fixture.loop.advance(by: .seconds(2))
        #expect(!fixture.read(browser).contains { $0.name == "alive" })
        fixture.loop.advance(by: .seconds(5))
        #expect(fixture.read(browser).last?.name == "alive")
        #expect(fixture.read(browser).isEmpty)
    }
}

@Suite(.blocking) struct `The reads of the processor's metrics` {
    @Test func `are shared by the requests that arrive meanwhile`() throws {
        let loop = try Loop(clock: .manual)
        let monitor = ProcessorMonitor(on: loop, readTimeout: .seconds(5))
        let reads = LockedValue(0)
        monitor.source = { _ in reads.withLock { $0 += 1 } }
        var failures = 0
        for _ in 1...3 { monitor.read { if case .failure(.timedOut) = $0 { failures += 1 } } }
        #expect(reads.withLock { $0 } == 1)
        loop.advance(by: .milliseconds(4_999))
        #expect(failures == 0)
        loop.advance(by: .milliseconds(1))
        #expect(failures == 3)
        monitor.read { _ in }
        #expect(reads.withLock { $0 } == 2)
        monitor.close()
        loop.close()
    }
}
