import Foundation
import TestKit
import Testing

/// The processor is killed at any moment while plays flow, and started again. What it said to its
/// client over all its lives, and what its store holds in the end, is judged from outside.
///
/// `TALLY_KILLS` is how often (20 unless set), `NSQD` names a real nsqd to do it with as well, and
/// `TALLY_SEED` repeats a run.
@Suite(.serialized) struct `A processor that is killed` {
    static let kills = setting("TALLY_KILLS").flatMap { Int($0) } ?? 20
    static let brokers = ["tally"] + (setting("NSQD").map { [$0] } ?? [])

    @Test(arguments: brokers)
    func `loses no play, counts none twice, and tells its client nothing untrue`(
        broker: String
    ) throws {
        var generator = SeededGenerator()
        let folder = try TemporaryFolder()
        let (nsqd, address) = try start(broker, in: folder)
        let plays = ManyPlays(seconds: Double(Self.kills) * Lifetime.mean + 1, &generator)
        try plays.write(to: folder.path("plays.jsonl"))
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--file=\(folder.path("plays.jsonl"))",
            "--rate=\(ManyPlays.rate)",
        ])
        let store = folder.path("counts.sqlite")
        var client = SuspiciousClient(published: plays.counts)
        for _ in 0..<Self.kills {
            let processor = try process(address, store)
            Thread.sleep(forTimeInterval: Lifetime.random(&generator))
            processor.send(SIGKILL)
            #expect(processor.status() == -SIGKILL, "\(processor.lines(of: .standardError))")
            client.hear(processor.lines(of: .standardOutput))
        }
        #expect(producer.status() == 0, "\(producer.lines(of: .standardError))")

        let last = try process(address, store)
        let total = plays.counts.values.reduce(0, +)
        let deadline = Date(timeIntervalSinceNow: 30)
        while try counted(in: store).plays < total, deadline > Date() {
            Thread.sleep(forTimeInterval: 0.05)
        }
        last.send(SIGTERM)
        #expect(last.status() == 0)
        client.hear(last.lines(of: .standardOutput))
        let again = Comment(rawValue: generator.repetition(of: "EndToEndTests.*killed"))
        #expect(client.complaints.prefix(5) == [], again)
        #expect(plays.differences(from: client.totals).prefix(5) == [], again)
        let stored = try counted(in: store)
        #expect(plays.differences(from: stored.counts).prefix(5) == [], again)
        #expect(plays.differences(from: stored.published).prefix(5) == [], again)
        print(
            "\(Self.kills) kills, \(total) plays, \(client.calls) calls,"
                + " \(client.repetitions) totals told again, by \(broker)")
        nsqd.send(SIGTERM)
        #expect(nsqd.status() == 0)
    }

    private func start(_ broker: String, in folder: TemporaryFolder) throws -> (
        BuiltProcess, String
    ) {
        guard broker != "tally" else {
            return try BuiltProcess.listening(["nsqd", "--tcp-address=127.0.0.1:0"])
        }
        return try BuiltProcess.listening(
            [
                "-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0",
                "-https-address=127.0.0.1:0", "-data-path=\(folder.url.path)",
            ], executable: URL(filePath: broker))
    }

    private func process(_ address: String, _ store: String) throws -> BuiltProcess {
        try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--store=\(store)", "--freshness=1s",
        ])
    }
}

private func setting(_ name: String) -> String? {
    ProcessInfo.processInfo.environment[name]
}

/// How long a processor may live: from not long enough to open its store to some hundred batches.
private enum Lifetime {
    static let longest = 1.0
    static let mean = longest / 2

    static func random(_ generator: inout SeededGenerator) -> TimeInterval {
        .random(in: 0...longest, using: &generator)
    }
}

/// Plays that flow for a while: with names and without, and some, as publishers do, twice.
private struct ManyPlays {
    static let rate = 2_000
    private static let videos = 300

    private(set) var counts: [String: Int] = [:]
    private var lines: [String] = []

    init(seconds: Double, _ generator: inout SeededGenerator) {
        let videos = (0..<Self.videos).map { _ in Self.guid(&generator) }
        while lines.count < Int(seconds * Double(Self.rate)) {
            // The square puts more of them on the first.
            let place = Double.random(in: 0..<1, using: &generator)
            let video = videos[Int(place * place * Double(videos.count))]
            counts[video, default: 0] += 1
            if Bool.random(using: &generator) {
                let line = #"{"video_id":"\#(video)","play_id":"\#(Self.guid(&generator))"}"#
                let isTwice = Int.random(in: 0..<10, using: &generator) == 0
                lines += Array(repeating: line, count: isTwice ? 2 : 1)
            } else {
                lines.append(#"{"video_id":"\#(video)"}"#)
            }
        }
    }

    func differences(from totals: [String: Int]) -> [String] {
        Set(counts.keys).union(totals.keys).sorted().compactMap { id in
            let (plays, total) = (counts[id, default: 0], totals[id, default: 0])
            return plays == total ? nil : "\(id) has \(total) of \(plays) plays"
        }
    }

    func write(to path: String) throws {
        try lines.joined(separator: "\n").write(toFile: path, atomically: false, encoding: .utf8)
    }

    private static func guid(_ generator: inout SeededGenerator) -> String {
        let (high, low) = (generator.next(), generator.next())
        return withUnsafeBytes(of: (high, low)) { bytes in
            UUID(uuid: bytes.loadUnaligned(as: uuid_t.self)).uuidString.lowercased()
        }
    }
}

/// A client that believes nothing: it knows what was published, and writes down every total that
/// cannot be.
private struct SuspiciousClient {
    private let published: [String: Int]
    private(set) var totals: [String: Int] = [:]
    private(set) var complaints: [String] = []
    private(set) var calls = 0
    private(set) var repetitions = 0

    init(published: [String: Int]) {
        self.published = published
    }

    /// Hears all the calls of one of the processor's lives.
    mutating func hear(_ lines: [String]) {
        var told: Set<String> = []
        for line in lines {
            calls += 1
            guard let call = try? JSONDecoder().decode(CallJSON.self, from: Data(line.utf8)) else {
                complaints.append("no call: \(line)")
                continue
            }
            if !(1...20 ~= call.videos.count) { complaints.append("\(call.videos.count) videos") }
            for video in call.videos {
                hear(video, isFirst: told.insert(video.video_id).inserted)
            }
        }
    }

    private mutating func hear(_ video: CallJSON.Video, isFirst: Bool) {
        let (id, total) = (video.video_id, video.play_count)
        let last = totals[id, default: 0]
        if total > published[id, default: 0] {
            complaints.append("\(id) has \(total) of \(published[id, default: 0]) plays")
        }
        if total < last { complaints.append("\(id) went from \(last) back to \(total)") }
        if total == last {
            // The one repetition there may be: a call whose acceptance was not noted before the
            // end, so that the next life begins with it.
            repetitions += 1
            if !isFirst { complaints.append("\(id) was told \(total) again") }
        }
        totals[id] = total
    }
}

private struct CallJSON: Decodable {
    struct Video: Decodable {
        var video_id: String
        var play_count: Int
    }
    var videos: [Video]
}

/// What `tally counts` says that a store holds.
struct StoredCounts {
    var counts: [String: Int] = [:]
    var published: [String: Int] = [:]
    var plays: Int { counts.values.reduce(0, +) }
}

func counted(in store: String) throws -> StoredCounts {
    struct VideosJSON: Decodable {
        struct Video: Decodable {
            var video_id: String
            var play_count: Int
            var published_count: Int
        }
        var videos: [Video]
    }
    let look = try BuiltProcess(["counts", "--store=\(store)", "--json"])
    guard look.status() == 0, let line = look.lines(of: .standardOutput).first else {
        return .init()
    }
    let videos = try JSONDecoder().decode(VideosJSON.self, from: Data(line.utf8)).videos
    return StoredCounts(
        counts: Dictionary(uniqueKeysWithValues: videos.map { ($0.video_id, $0.play_count) }),
        published: Dictionary(
            uniqueKeysWithValues: videos.map { ($0.video_id, $0.published_count) }))
}
