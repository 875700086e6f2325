import Foundation
import HTTP
import PlayCounts
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import LivePage

/// The state that a browser received, with the calls since then.
private struct ReceivedState {
    var counts: [String: Int] = [:]
    var calls: [Int] = []

    mutating func apply(_ event: EventReader.Event) throws {
        switch event.name {
        case "state":
            let state = try event.json(as: StateJSON.self)
            counts = Dictionary(
                uniqueKeysWithValues: state.videos.map { ($0.video_id, $0.play_count) })
        case "call":
            let call = try event.json(as: CallJSON.self)
            calls.append(call.number)
            for video in call.videos { counts[video.video_id] = video.play_count }
        default: break
        }
    }

    mutating func read(_ events: EventReader, until isComplete: (ReceivedState) -> Bool) throws {
        while !isComplete(self) {
            guard let event = try events.next() else { throw EventReader.NoEvent() }
            try apply(event)
        }
    }
}

@Suite(.blocking) struct `An event stream` {
    @Test func `sends the state first and then every call`() async throws {
        let test = try await TestPage.start([total(1, 10)])
        let events = try EventReader(test.page)
        #expect(events.head.contains("Content-Type: text/event-stream"))
        let first = try #require(try events.next())
        #expect(first.name == "state")
        #expect(try first.json(as: StateJSON.self).videos.map(\.play_count) == [10])
        test.play(2...31)
        test.play([2])
        var received = ReceivedState()
        try received.read(events) { $0.calls.count == 3 }
        #expect(received.calls == [1, 2, 3])
        #expect(received.counts.count == 30)
        #expect(received.counts[video(2).text] == 2)
        let figures = try events.next("statistics").json(as: StatisticsJSON.self)
        #expect(figures.plays == 41)
        #expect(figures.calls.made == 3)
        #expect(figures.queue == nil)
        await test.page.stop()
    }

    @Test func `continues after the last event ID of a reconnecting browser`() async throws {
        let test = try await TestPage.start()
        let before = try EventReader(test.page)
        _ = try before.next("state")
        test.play([1])
        _ = try before.next("call")
        test.play([2])
        test.play([3])
        let other = try EventReader(test.page)
        _ = try other.next("state")
        test.play([4])
        _ = try other.next("call") { try $0.json(as: CallJSON.self).number == 4 }
        // The first browser stops reading and reconnects.
        let again = try EventReader(test.page, after: before.lastID)
        var received = ReceivedState()
        try received.read(again) { $0.calls.count == 3 }
        #expect(received.calls == [2, 3, 4])
        await test.page.stop()
    }

    @Test(arguments: ["nonsense", "otherrun-3", "-", "1"])
    func `sends the state if the last event ID is unknown`(lastID: String) async throws {
        let test = try await TestPage.start([total(1, 10)])
        let events = try EventReader(test.page, after: lastID)
        #expect(try events.next()?.name == "state")
        await test.page.stop()
    }

    @Test func `sends the state to a browser that was disconnected for longer than the event log`()
        async throws
    {
        let test = try await TestPage.start { $0.maxEventLogBytes = 2_000 }
        let before = try EventReader(test.page)
        _ = try before.next("state")
        test.play([0])
        _ = try before.next("call")
        let witness = try EventReader(test.page)
        var other = ReceivedState()
        for number in 1...40 {
            test.play([number])
            try other.read(witness) { $0.counts[video(number).text] != nil }
        }
        let again = try EventReader(test.page, after: before.lastID)
        let first = try #require(try again.next())
        #expect(first.name == "state")
        var received = ReceivedState()
        try received.apply(first)
        #expect(received.counts.count == 41)
        await test.page.stop()
    }

    /// Without subscribers the page records no events, so a browser that reconnects cannot continue
    /// with the log.
    @Test func `sends the state to a browser that reconnects when no events were recorded`()
        async throws
    {
        let test = try await TestPage.start { $0.eventRetention = .zero }
        var lastID: String?
        do {
            let before = try EventReader(test.page)
            test.play([1])
            _ = try before.next("call")
            lastID = before.lastID
        }
        // The page may notice the disconnect late and still record the events of the first of these
        // calls.
        for number in 2...30 { test.play([number]) }
        let witness = try test.get("/api/videos")
        #expect(witness.status == 200)
        let again = try EventReader(test.page, after: lastID)
        var received = ReceivedState()
        try received.read(again) { $0.counts.count >= 29 && $0.counts[video(30).text] != nil }
        test.play([31])
        try received.read(again) { $0.counts[video(31).text] != nil }
        let counts = try test.get("/api/videos").json(as: VideosJSON.self)
        #expect(counts.total == 31)
        await test.page.stop()
    }

    @Test func `sends the queue depth, and an end event when the page stops`() async throws {
        let test = try await TestPage.start()
        let events = try EventReader(test.page)
        test.page.setQueueState(
            ChannelDepth(depth: 3, inFlight: 2, deferred: 1, oldestAge: .milliseconds(1_500)))
        let figures = try events.next("statistics").json(as: StatisticsJSON.self)
        #expect(
            figures.queue
                == StatisticsJSON.Queue(depth: 3, in_flight: 2, deferred: 1, oldest_ms: 1_500))
        test.play([1])
        await test.page.stop()
        var received = ReceivedState()
        while let event = try events.next() {
            try received.apply(event)
            if event.name == "end" { break }
        }
        #expect(received.counts == [video(1).text: 1])
        #expect(try events.next() == nil)
    }

    @Test func `sends alive events while nothing happens`() async throws {
        let test = try await TestPage.start { $0.keepAliveInterval = .milliseconds(50) }
        let socket = try BlockingSocket(to: test.page.address)
        socket.send("GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        var text = ""
        while !text.contains("event: alive\ndata: {}\n\n") {
            let bytes = socket.receive(atMost: 65_536)
            guard !bytes.isEmpty else { break }
            text += String(decoding: bytes, as: UTF8.self)
        }
        #expect(text.contains("\n\nevent: alive\ndata: {}\n\n"))
        await test.page.stop()
    }

    @Test func `is refused with 503 beyond the maximum number of browsers`() async throws {
        let test = try await TestPage.start { $0.maxSubscribers = 2 }
        let one = try EventReader(test.page)
        _ = try one.next("state")
        do {
            let two = try EventReader(test.page)
            _ = try two.next("state")
            #expect(try test.get("/events").status == 503)
            withExtendedLifetime(two) {}
        }
        // The second browser has left; the page accepts another as soon as it notices.
        var status = 503
        for _ in 1...200 where status == 503 {
            let three = try EventReader(test.page)
            status = three.head.contains(" 200 ") ? 200 : 503
        }
        #expect(status == 200)
        await test.page.stop()
    }
}

@Suite(.blocking) struct `A browser that stops reading` {
    @Test func `receives the state when it reads again and delays no other browser`() async throws {
        let test = try await TestPage.start {
            $0.maxEventLogBytes = 64 << 10
            $0.minUpdateInterval = .milliseconds(1)
        }
        let stalled = try EventReader(test.page, bufferBytes: 65_536)
        let reading = try EventReader(test.page)
        var other = ReceivedState()
        // 7 MB in total; the socket buffers hold at most 4 MB.
        let rounds = 350
        for round in 1...rounds {
            test.play(0..<200)
            try other.read(reading) { $0.counts[video(0).text] == round }
        }
        var received = ReceivedState()
        let expected = Dictionary(uniqueKeysWithValues: (0..<200).map { (video($0).text, rounds) })
        try received.read(stalled) { $0.counts == expected }
        #expect(received.calls.count < 10 * rounds)
        await test.page.stop()
    }
}

@Suite(.blocking, .serialized) struct `A thousand connected browsers` {
    /// Raises the limit of file descriptors, which is below this on many machines.
    ///
    /// - Returns: `true` if the process may open that many.
    private static func raiseFileLimit(to count: UInt) -> Bool {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        guard limit.rlim_max >= count else { return false }
        limit.rlim_cur = max(limit.rlim_cur, count)
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }

    /// Calls `body` while the page's thread does nothing.
    private static func withHeldThread(of page: LivePage, _ body: () -> Void) throws {
        let (isHeld, mayContinue) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        page.setMetricsSource { answer in
            isHeld.signal()
            mayContinue.wait()
            // The page reads the metrics again later, and must then not be held.
            mayContinue.signal()
            answer(nil)
        }
        let socket = try BlockingSocket(to: page.address)
        socket.send("GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        isHeld.wait()
        body()
        mayContinue.signal()
        _ = socket.receiveAll()
    }

    @Test func `receive all updates and delay no call`() async throws {
        guard Self.raiseFileLimit(to: 4096) else { return }
        let test = try await TestPage.start {
            $0.maxEventLogBytes = 256 << 10
            $0.maxConnections = 4096
        }
        let stalled = try EventReader(test.page, bufferBytes: 65_536)
        // None of them reads during the calls; their socket buffers are large enough.
        let browsers = try (1..<1000).map { _ in try EventReader(test.page) }
        for browser in browsers { _ = try browser.next("state") }
        let rounds = 50
        for _ in 1..<rounds { test.play(0..<200) }
        // A call only appends to the queue, and does not wait for the page.
        try Self.withHeldThread(of: test.page) { test.play(0..<200) }
        let expected = Dictionary(uniqueKeysWithValues: (0..<200).map { (video($0).text, rounds) })
        for browser in [browsers.first!, browsers[500], browsers.last!, stalled] {
            var received = ReceivedState()
            try received.read(browser) { $0.counts == expected }
        }
        await test.page.stop()
    }
}
