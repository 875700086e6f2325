import Foundation
import NSQClient
import TestKit
import TestTraits
import Testing

/// Checks the rules of the job from two logs: the calls on the binary's standard output, and the plays
/// of another channel of the topic, with their publish times. It uses none of the processor's code.
///
/// No check depends on the speed of the machine. A rule that says "at once" is checked with a freshness
/// that never passes, and a rule about an order is checked by the order of the plays in the topic.
@Suite(.blocking, .serialized, .timeLimit(.minutes(15))) struct `The rules of the job` {
    @Test func `hold for the plays of a topic and the published calls`() async throws {
        var generator = SeededGenerator()
        let again = Comment(rawValue: generator.repetition(of: "EndToEndTests.*rules"))
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let witness = try Consumer(topic: "plays", channel: "witness", nsqds: [address])
        try await witness.connected()
        let store = folder.path("counts.sqlite")
        var plays = PlayLog()
        var judge = Judge()
        // The first lines play all videos, and their counts below the limit are published at once. The
        // later lines play only videos above the limit, whose counts are published by their deadline.
        let all = (0..<30).flatMap { [Int](repeating: $0, count: 120) } + Array(0..<400)
        let hot = (0..<400).map { $0 % 30 }
        let parts: [(freshness: Double, videos: [Int], rate: Int)] = [
            (36_000, all, 1_000), (3, hot, 40),
        ]
        for (freshness, videos, rate) in parts {
            let processor = try BuiltProcess([
                "process", "--nsqd-tcp-address=\(address)", "--store=\(store)",
                "--freshness=\(Int(freshness))s",
            ])
            #expect(processor.line(containing: "counting plays") != nil)
            let file = folder.path("plays.jsonl")
            try videos.shuffled(using: &generator).map(line).joined(separator: "\n")
                .write(toFile: file, atomically: false, encoding: .utf8)
            let producer = try BuiltProcess([
                "produce", "--nsqd-tcp-address=\(address)", "--file=\(file)", "--rate=\(rate)",
            ])
            #expect(producer.status() == 0)
            try await plays.read(from: witness, upTo: plays.count + videos.count)
            // Waits before the stop until every count that has to be published is published.
            let isRunComplete = eventually {
                let told = lastTotals(processor.linesSoFar(of: .standardOutput))
                return plays.times.allSatisfy { id, times in
                    let due = freshness > 3 ? min(times.count, 99) : times.count
                    return max(told[id, default: 0], judge.told[id, default: 0]) >= due
                }
            }
            #expect(isRunComplete)
            #expect(try eventually { try counted(in: store).plays == plays.count })
            let stopped = Date().timeIntervalSince1970
            processor.send(SIGTERM)
            #expect(processor.status() == 0)
            judge.beginRun(freshness: freshness, plays: plays, stopped: stopped)
            for (date, line) in processor.datedLines(of: .standardOutput) {
                judge.hear(line, at: date.timeIntervalSince1970)
            }
            judge.endRun()
        }
        await witness.stop()
        #expect(judge.complaints.prefix(5) == [], again)
        #expect(judge.fullCalls > 0 && judge.immediate > 0 && judge.batched > 0, again)
        print(
            "\(judge.calls) calls, \(judge.fullCalls) full; \(judge.immediate) immediate plays,"
                + " \(judge.batched) others")
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    /// A play of one of sixty videos.
    private func line(_ number: Int) -> String {
        #"{"video_id":"1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a\#(10 + number % 60)"}"#
    }
}

/// The plays of each video in the order of the topic.
private struct PlayLog {
    private(set) var count = 0
    /// The publish times in seconds since 1970.
    private(set) var times: [String: [Double]] = [:]
    /// The places in the topic.
    private(set) var places: [String: [Int]] = [:]

    /// Reads the plays of a channel until there are `count`.
    mutating func read(from witness: Consumer, upTo count: Int) async throws {
        while self.count < count, let delivery = try await witness.next() {
            let message = delivery.message
            try note(message.body, at: Double(message.timestampNanoseconds) / 1e9)
            delivery.finish()
        }
    }

    private mutating func note(_ body: [UInt8], at time: Double) throws {
        struct PlayJSON: Decodable {
            var video_id: String
        }
        let play = try PlayJSON(json: body)
        times[play.video_id, default: []].append(time)
        places[play.video_id, default: []].append(count)
        count += 1
    }
}

private struct CallJSON: Decodable {
    struct Video: Decodable {
        var video_id: String
        var play_count: Int
    }
    var videos: [Video]
}

/// The last totals in the calls.
private func lastTotals(_ lines: [String]) -> [String: Int] {
    lines.compactMap { try? CallJSON(json: $0.utf8) }
        .flatMap(\.videos).reduce(into: [:]) { $0[$1.video_id] = $1.play_count }
}

/// Checks each call against the rules.
private struct Judge {
    private(set) var complaints: [String] = []
    private(set) var calls = 0
    private(set) var fullCalls = 0
    private(set) var (immediate, batched) = (0, 0)
    /// The last published total of each video.
    private(set) var told: [String: Int] = [:]
    private var plays = PlayLog()
    private var freshness = 0.0
    private var stopped = 0.0
    /// The place in the topic of the last play in a call. All plays before it were counted by then.
    private var lastCounted = -1

    private static let videosPerCall = 20
    private static let realtimeBelow = 100

    /// Begins to check the calls of a run of the processor.
    mutating func beginRun(freshness: Double, plays: PlayLog, stopped: Double) {
        (self.freshness, self.plays, self.stopped) = (freshness, plays, stopped)
    }

    mutating func hear(_ line: String, at now: Double) {
        calls += 1
        guard let call = try? CallJSON(json: line.utf8) else {
            return complaints.append("no call: \(line)")
        }
        let videos = call.videos
        if !(1...Self.videosPerCall ~= videos.count)
            || Set(videos.map(\.video_id)).count < videos.count
        {
            complaints.append("call \(calls) carries \(videos.count) videos, or one of them twice")
        }
        if videos.count == Self.videosPerCall { fullCalls += 1 }
        let isCalledFor = videos.map { hear($0, at: now) }.contains(true)
        if !isCalledFor, now < stopped { complaints.append("call \(calls) came without need") }
        if videos.count < Self.videosPerCall { demandThatNothingWaits() }
    }

    /// - Returns: `true` if the video had to be published: at once, or because of its deadline.
    private mutating func hear(_ video: CallJSON.Video, at now: Double) -> Bool {
        let (id, total) = (video.video_id, video.play_count)
        let last = told[id, default: 0]
        let times = plays.times[id] ?? []
        guard total > last else {
            complaints.append("\(id) was \(last) and then \(total)")
            return false
        }
        guard total <= times.count, times[total - 1] <= now else {
            complaints.append("\(id) had not \(total) plays yet")
            return false
        }
        told[id] = total
        lastCounted = max(lastCounted, plays.places[id]![total - 1])
        for play in last + 1...total {
            if isImmediate(play) { immediate += 1 } else { batched += 1 }
        }
        return isImmediate(last + 1) || now - times[last] > freshness - 1
    }

    private func isImmediate(_ play: Int) -> Bool { play < Self.realtimeBelow }

    /// A call with unused slots contains all changed videos.
    private mutating func demandThatNothingWaits() {
        for (id, places) in plays.places {
            let known = places.prefix { $0 < lastCounted }.count
            if known > told[id, default: 0] {
                complaints.append("call \(calls) had room for \(id), and left it out")
            }
        }
    }

    mutating func endRun() {
        for (id, times) in plays.times where told[id] != times.count {
            complaints.append("\(id) ends with \(told[id, default: 0]) of \(times.count) plays")
        }
    }
}
