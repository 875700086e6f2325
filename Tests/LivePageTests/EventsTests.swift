import Foundation
import HTTP
import PlayCounts
import TestKit
import Testing
import UVLoop

@testable import LivePage

/// What a reader knows: the state it was given, and the calls since.
private struct Known {
    var counts: [String: Int] = [:]
    var calls: [Int] = []

    mutating func hear(_ event: EventReader.Event) throws {
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

    mutating func hear(_ events: EventReader, until isEnough: (Known) -> Bool) throws {
        while !isEnough(self) {
            guard let event = try events.next() else { throw EventReader.Silence() }
            try hear(event)
        }
    }
}

@Suite struct `A browser that listens` {
    @Test func `hears the state, and then every call as it is made`() async throws {
        let stage = try await PageStage.start([total(1, 10)])
        let events = try EventReader(stage.page)
        #expect(events.head.contains("Content-Type: text/event-stream"))
        let first = try #require(try events.next())
        #expect(first.name == "state")
        #expect(try first.json(as: StateJSON.self).videos.map(\.play_count) == [10])
        stage.play(2...31)
        stage.play([2])
        var known = Known()
        try known.hear(events) { $0.calls.count == 3 }
        #expect(known.calls == [1, 2, 3])
        #expect(known.counts.count == 30)
        #expect(known.counts[video(2).text] == 2)
        let figures = try events.next("statistics").json(as: StatisticsJSON.self)
        #expect(figures.plays == 41)
        #expect(figures.calls.made == 3)
        #expect(figures.queue == nil)
        await stage.page.stop()
    }

    @Test func `goes on where it broke off`() async throws {
        let stage = try await PageStage.start()
        let before = try EventReader(stage.page)
        _ = try before.next("state")
        stage.play([1])
        _ = try before.next("call")
        stage.play([2])
        stage.play([3])
        let other = try EventReader(stage.page)
        _ = try other.next("state")
        stage.play([4])
        _ = try other.next("call") { try $0.json(as: CallJSON.self).number == 4 }
        // The first one reads no further, and comes again.
        let again = try EventReader(stage.page, after: before.lastID)
        var known = Known()
        try known.hear(again) { $0.calls.count == 3 }
        #expect(known.calls == [2, 3, 4])
        await stage.page.stop()
    }

    @Test(arguments: ["nonsense", "otherrun-3", "-", "1"])
    func `hears the state if it was elsewhere before`(lastID: String) async throws {
        let stage = try await PageStage.start([total(1, 10)])
        let events = try EventReader(stage.page, after: lastID)
        #expect(try events.next()?.name == "state")
        await stage.page.stop()
    }

    @Test func `that was away for too long hears the state, and misses nothing`() async throws {
        let stage = try await PageStage.start { $0.eventBytes = 2_000 }
        let before = try EventReader(stage.page)
        _ = try before.next("state")
        stage.play([0])
        _ = try before.next("call")
        let witness = try EventReader(stage.page)
        var heard = Known()
        for number in 1...40 {
            stage.play([number])
            try heard.hear(witness) { $0.counts[video(number).text] != nil }
        }
        let again = try EventReader(stage.page, after: before.lastID)
        let first = try #require(try again.next())
        #expect(first.name == "state")
        var known = Known()
        try known.hear(first)
        #expect(known.counts.count == 41)
        await stage.page.stop()
    }

    /// What nobody would hear is not put into words, and so is not there to go on with.
    @Test func `that comes back when all had left hears the state, and misses nothing`()
        async throws
    {
        let stage = try await PageStage.start { $0.longestAbsence = .zero }
        var lastID: String?
        do {
            let before = try EventReader(stage.page)
            stage.play([1])
            _ = try before.next("call")
            lastID = before.lastID
        }
        // The page may notice a moment later; what came until then it may still know.
        for number in 2...30 { stage.play([number]) }
        let witness = try stage.get("/api/videos")
        #expect(witness.status == 200)
        let again = try EventReader(stage.page, after: lastID)
        var known = Known()
        try known.hear(again) { $0.counts.count >= 29 && $0.counts[video(30).text] != nil }
        stage.play([31])
        try known.hear(again) { $0.counts[video(31).text] != nil }
        let counts = try stage.get("/api/videos").json(as: VideosJSON.self)
        #expect(counts.total == 31)
        await stage.page.stop()
    }

    @Test func `is told of the queue, and of the end`() async throws {
        let stage = try await PageStage.start()
        let events = try EventReader(stage.page)
        stage.page.queueIs(QueueState(depth: 3, inFlight: 2, deferred: 1))
        let figures = try events.next("statistics").json(as: StatisticsJSON.self)
        #expect(figures.queue == StatisticsJSON.Queue(depth: 3, in_flight: 2, deferred: 1))
        stage.play([1])
        await stage.page.stop()
        var known = Known()
        while let event = try events.next() {
            try known.hear(event)
            if event.name == "end" { break }
        }
        #expect(known.counts == [video(1).text: 1])
        #expect(try events.next() == nil)
    }

    @Test func `hears a sign of life where nothing else is to be heard`() async throws {
        let stage = try await PageStage.start { $0.keepAlive = .milliseconds(50) }
        let socket = try BlockingSocket(to: stage.page.address)
        socket.send("GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        var text = ""
        while !text.contains(": still here\n\n") {
            let bytes = socket.read()
            guard !bytes.isEmpty else { break }
            text += String(decoding: bytes, as: UTF8.self)
        }
        #expect(text.contains("\n\n: still here\n\n"))
        await stage.page.stop()
    }

    @Test func `is one too many beyond the bound`() async throws {
        let stage = try await PageStage.start { $0.maxBrowsers = 2 }
        let one = try EventReader(stage.page)
        _ = try one.next("state")
        do {
            let two = try EventReader(stage.page)
            _ = try two.next("state")
            #expect(try stage.get("/events").status == 503)
            withExtendedLifetime(two) {}
        }
        // The second has left, and makes room as soon as the page has noticed.
        var status = 503
        for _ in 1...200 where status == 503 {
            let three = try EventReader(stage.page)
            status = three.head.contains(" 200 ") ? 200 : 503
        }
        #expect(status == 200)
        await stage.page.stop()
    }
}

@Suite struct `A browser that stalls` {
    @Test func `is given the state when it reads again, and holds up nobody`() async throws {
        let stage = try await PageStage.start {
            $0.eventBytes = 64 << 10
            $0.shortestPause = .milliseconds(1)
        }
        let stalled = try EventReader(stage.page, bufferBytes: 65_536)
        let reading = try EventReader(stage.page)
        var heard = Known()
        // Seven megabytes: the kernel holds four of them at most.
        let rounds = 350
        for round in 1...rounds {
            stage.play(0..<200)
            try heard.hear(reading) { $0.counts[video(0).text] == round }
        }
        var known = Known()
        let expected = Dictionary(uniqueKeysWithValues: (0..<200).map { (video($0).text, rounds) })
        try known.hear(stalled) { $0.counts == expected }
        #expect(known.calls.count < 10 * rounds)
        await stage.page.stop()
    }
}

@Suite(.serialized) struct `A thousand browsers` {
    /// What a process may have open is less than that on many machines, unless it asks.
    private static func allowSockets(_ count: UInt) -> Bool {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        guard limit.rlim_max >= count else { return false }
        limit.rlim_cur = max(limit.rlim_cur, count)
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }

    @Test func `hear all of it, and hold up no call`() async throws {
        guard Self.allowSockets(4096) else { return }
        let stage = try await PageStage.start { $0.eventBytes = 256 << 10 }
        let stalled = try EventReader(stage.page, bufferBytes: 65_536)
        // None of them reads while the calls are made, but each has room for what comes.
        let browsers = try (1..<1000).map { _ in try EventReader(stage.page) }
        for browser in browsers { _ = try browser.next("state") }
        let rounds = 50
        var longest = Duration.zero
        for _ in 1...rounds {
            let begun = ContinuousClock.now
            stage.play(0..<200)
            longest = max(longest, ContinuousClock.now - begun)
        }
        // A call is left with the page, whatever the browsers do: nothing like what 1,000 writes
        // cost, and with room for a machine that is busy.
        #expect(longest < .milliseconds(250))
        let expected = Dictionary(uniqueKeysWithValues: (0..<200).map { (video($0).text, rounds) })
        for browser in [browsers.first!, browsers[500], browsers.last!, stalled] {
            var known = Known()
            try known.hear(browser) { $0.counts == expected }
        }
        await stage.page.stop()
    }
}
