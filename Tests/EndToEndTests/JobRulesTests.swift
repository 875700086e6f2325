import Foundation
import NSQClient
import TestKit
import Testing

/// Checks the rules of the job from two logs: the calls on the binary's standard output, and the plays
/// of another channel of the topic, with their publish times. It uses none of the processor's code.
@Suite(.serialized, .timeLimit(.minutes(15))) struct `The rules of the job` {
    static let freshness = 6.0
    /// The tolerance for delays of a shared machine.
    static let slack = 2.0

    @Test func `hold for the plays of a topic and the published calls`() async throws {
        var generator = SeededGenerator()
        let again = Comment(rawValue: generator.repetition(of: "EndToEndTests.*rules"))
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let witness = try Consumer(topic: "plays", channel: "witness", nsqds: [address])
        let store = folder.path("counts.sqlite")
        let processor = try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--store=\(store)",
            "--freshness=\(Int(Self.freshness))s",
        ])
        #expect(processor.line(containing: "counting plays") != nil)
        // First all videos, then only those above the limit, which are published by their deadline.
        let parts = [
            ("all", (0..<30).flatMap { [Int](repeating: $0, count: 120) } + (0..<400), 1_000),
            ("hot", (0..<400).map { $0 % 30 }, 40),
        ]
        for (name, videos, rate) in parts {
            let lines = videos.shuffled(using: &generator).map(line)
            let file = folder.path("\(name).jsonl")
            try lines.joined(separator: "\n").write(
                toFile: file, atomically: false, encoding: .utf8)
            let producer = try BuiltProcess([
                "produce", "--nsqd-tcp-address=\(address)", "--file=\(file)", "--rate=\(rate)",
            ])
            #expect(producer.status() == 0)
        }
        let count = parts.map(\.1.count).reduce(0, +)
        var plays = PlayLog()
        for await batch in witness.batches {
            for message in batch {
                try plays.note(message.body, at: Double(message.timestampNanoseconds) / 1e9)
            }
            witness.finish(batch)
            if plays.count >= count { break }
        }
        await witness.stop()
        #expect(try eventually { try counted(in: store).plays == count })
        let stopped = Date().timeIntervalSince1970
        processor.send(SIGTERM)
        #expect(processor.status() == 0)

        var judge = Judge(plays: plays, stopped: stopped)
        for (date, line) in processor.datedLines(of: .standardOutput) {
            judge.hear(line, at: date.timeIntervalSince1970)
        }
        judge.close()
        #expect(judge.complaints.prefix(5) == [], again)
        #expect(judge.fullCalls > 0 && judge.immediate > 0 && judge.batched > 0, again)
        print(
            "\(judge.calls) calls, \(judge.fullCalls) full; \(judge.immediate) immediate plays,"
                + " worst \(judge.worstImmediate) s; \(judge.batched) others, worst"
                + " \(judge.worstBatched) s")
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    /// A play of one of sixty videos.
    private func line(_ number: Int) -> String {
        #"{"video_id":"1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a\#(10 + number % 60)"}"#
    }
}

/// The publish times of each video's plays, in seconds since 1970.
private struct PlayLog {
    private(set) var count = 0
    private(set) var times: [String: [Double]] = [:]

    mutating func note(_ body: [UInt8], at time: Double) throws {
        struct PlayJSON: Decodable {
            var video_id: String
        }
        let play = try JSONDecoder().decode(PlayJSON.self, from: Data(body))
        times[play.video_id, default: []].append(time)
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

/// Checks each call against the rules.
private struct Judge {
    let plays: PlayLog
    let stopped: Double
    private(set) var complaints: [String] = []
    private(set) var calls = 0
    private(set) var fullCalls = 0
    private(set) var (immediate, batched) = (0, 0)
    private(set) var (worstImmediate, worstBatched) = (0.0, 0.0)
    private var told: [String: Int] = [:]

    private static let videosPerCall = 20
    private static let realtimeBelow = 100

    init(plays: PlayLog, stopped: Double) {
        self.plays = plays
        self.stopped = stopped
    }

    mutating func hear(_ line: String, at now: Double) {
        calls += 1
        guard let call = try? JSONDecoder().decode(CallJSON.self, from: Data(line.utf8)) else {
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
        if videos.count < Self.videosPerCall { demandThatNothingWaits(at: now) }
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
        for play in last + 1...total {
            judge(now - times[play - 1], isImmediate: isImmediate(play))
        }
        let waited = now - times[last]
        return isImmediate(last + 1) || waited > `The rules of the job`.freshness - 1
    }

    private func isImmediate(_ play: Int) -> Bool { play < Self.realtimeBelow }

    private mutating func judge(_ latency: Double, isImmediate: Bool) {
        let bound =
            `The rules of the job`.slack + (isImmediate ? 0 : `The rules of the job`.freshness)
        if latency > bound {
            complaints.append("\(isImmediate ? "an immediate" : "a") play took \(latency) s")
        }
        if isImmediate {
            immediate += 1
            worstImmediate = max(worstImmediate, latency)
        } else {
            batched += 1
            worstBatched = max(worstBatched, latency)
        }
    }

    /// A call with unused slots contains all changed videos.
    private mutating func demandThatNothingWaits(at now: Double) {
        for (id, times) in plays.times {
            let known = times.prefix { $0 < now - `The rules of the job`.slack }.count
            if known > told[id, default: 0] {
                complaints.append("call \(calls) had room for \(id), and left it out")
            }
        }
    }

    mutating func close() {
        for (id, times) in plays.times where told[id] != times.count {
            complaints.append("\(id) ends with \(told[id, default: 0]) of \(times.count) plays")
        }
    }
}
