import Foundation
import PlayCounts
import TallyBasics
import Testing

/// Measures the cost of single operations, without bounds because machines differ:
///
///     TALLY_MEASURE=1 swift test -c release --filter PlayCountsTests.Speed
@Suite(
    .serialized,
    .enabled(if: ProcessInfo.processInfo.environment["TALLY_MEASURE"] != nil))
struct Speed {
    @Test func reading() throws {
        let bodies = try PlayGenerator().prefix(10_000).map { play in
            var bytes: [UInt8] = []
            play.appendJSON(to: &bytes)
            return bytes
        }
        var found = 0
        func each(_ name: String, _ read: ([UInt8]) throws -> Play?) rethrows {
            try measure(name, times: bodies.count) {
                for body in bodies where try read(body) != nil { found += 1 }
            }
        }
        each("scan a play") { Play(scanning: $0.span.bytes) }
        try each("parse a play") { try Play(parsing: $0.span.bytes) }
        try each("parse a play strictly") { try Play(strictlyParsing: $0.span.bytes) }
        let ids = bodies.map { Array($0[13..<49]) }
        measure("parse a GUID", times: ids.count) {
            for id in ids where id.withUnsafeBytes({ GUID(text: $0) }) != nil { found += 1 }
        }
        var bytes: [UInt8] = []
        let plays = try Array(PlayGenerator().prefix(10_000))
        measure("write a play", times: plays.count) {
            bytes.removeAll(keepingCapacity: true)
            for play in plays { play.appendJSON(to: &bytes) }
        }
        #expect(found > 0 && bytes.count > 0)
    }

    @Test(arguments: [(100, 15), (1_000_000, 0)])
    func counting(videos: Int, cold: Int) throws {
        var settings = PlayGenerator.Settings()
        (settings.plays, settings.videos, settings.coldVideos) = (1_000_000, videos, cold)
        let plays = try PlayGenerator(settings).map { Play(of: $0.videoID) }
        var counter = PlayCounter()
        var scheduler = CallScheduler()
        var calls = 0
        measure("count and publish a play of \(videos) videos", times: plays.count, rounds: 1) {
            for start in stride(from: 0, to: plays.count, by: 2500) {
                for play in plays[start..<start + 2500] { counter.count(play, arrival: .start) }
                scheduler.enqueue(counter.removeChanges())
                for call in scheduler.startDueCalls(at: .start) {
                    calls += 1
                    scheduler.callAccepted(call)
                }
            }
        }
        print("  \(calls) calls")
    }

    @Test func committing() async throws {
        for (name, location) in [("file", .temporary()), ("memory", .memory)]
            as [(String, PlayStore.Location)]
        {
            let store = try PlayStore(location)
            var times: [Duration] = []
            for round in 1...300 {
                let changes = (0..<100).map { change($0, count: round) }
                let marks = round == 1 ? [] : changes.map { PlayCount(of: $0.videoID, round - 1) }
                times.append(
                    try await ContinuousClock().measure {
                        try await store.commit(changes, published: marks)
                    })
            }
            times.sort()
            print("commit 100 counts and 100 marks, \(name): p50 \(times[150]), p99 \(times[297])")
            try store.close()
        }
    }

    @Test func committingAMillionVideos() async throws {
        let store = try PlayStore(.temporary())
        let time = try await ContinuousClock().measure {
            var marks: [PlayCount] = []
            for start in stride(from: 0, to: 1_000_000, by: 2500) {
                let changes = (start..<start + 2500).map { change($0, count: 1) }
                try await store.commit(changes, published: marks)
                marks = changes.map { PlayCount(of: $0.videoID, 1) }
            }
        }
        print("commit a million new videos, 2500 a batch: \(time)")
        let loading = try ContinuousClock().measure { _ = try store.loadCounts() }
        print("load a million videos: \(loading)")
        try store.close()
    }

    private func measure(
        _ name: String, times: Int, rounds: Int = 9, _ work: () throws -> Void
    ) rethrows {
        var durations: [Duration] = []
        for _ in 0..<rounds { durations.append(try ContinuousClock().measure { try work() }) }
        durations.sort()
        print("\(name): \(durations[rounds / 2].nanoseconds / Int64(times)) ns")
    }
}
