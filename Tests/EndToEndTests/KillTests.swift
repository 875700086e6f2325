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
        let store = folder.path("counts.sqlite")
        try killAgainAndAgain(ManyPlays(&generator), address, store, folder, broker, &generator) {
            try process(address, store)
        }
        nsqd.send(SIGTERM)
        #expect(nsqd.status() == 0)
    }

    /// All in one process, so that the broker dies with it.
    @Test func `loses no play either if its broker is killed with it`() throws {
        var generator = SeededGenerator()
        let folder = try TemporaryFolder()
        let (first, address) = try BuiltProcess.listening(serve(at: "127.0.0.1:0", folder))
        first.send(SIGKILL)
        #expect(first.status() == -SIGKILL)
        // A publisher that heard no answer publishes again: its plays have to say which they are.
        let plays = ManyPlays(&generator, allNamed: true)
        let store = folder.path("counts.sqlite")
        try killAgainAndAgain(plays, address, store, folder, "serve", &generator) {
            try BuiltProcess(serve(at: address, folder))
        }
    }

    private func serve(at address: String, _ folder: TemporaryFolder) -> [String] {
        [
            "serve", "--tcp-address=\(address)", "--data-path=\(folder.url.path)",
            "--store=\(folder.path("counts.sqlite"))", "--freshness=1s",
        ]
    }

    private func killAgainAndAgain(
        _ plays: ManyPlays, _ address: String, _ store: String, _ folder: TemporaryFolder,
        _ broker: String, _ generator: inout SeededGenerator,
        _ start: () throws -> BuiltProcess
    ) throws {
        var plays = plays
        var client = SuspiciousClient()
        var producers: [(arguments: [String], process: BuiltProcess)] = []
        for round in 0..<Self.kills {
            let processor = try start()
            // Now and then it is not even given the time to open its store.
            if Int.random(in: 0..<4, using: &generator) > 0 {
                #expect(processor.line(containing: "counting plays") != nil)
            }
            let file = folder.path("plays-\(round).jsonl")
            try plays.next(.random(in: 1...2_000, using: &generator), &generator)
                .write(toFile: file, atomically: false, encoding: .utf8)
            let arguments = [
                "produce", "--nsqd-tcp-address=\(address)", "--file=\(file)", "--rate=3000",
            ]
            producers.append((arguments, try BuiltProcess(arguments)))
            Thread.sleep(forTimeInterval: .random(in: 0...0.8, using: &generator))
            processor.send(SIGKILL)
            #expect(processor.status() == -SIGKILL, "\(processor.lines(of: .standardError))")
            client.hear(processor.lines(of: .standardOutput), published: plays.counts)
        }
        let last = try start()
        #expect(last.line(containing: "counting plays") != nil)
        for producer in producers where producer.process.status() != 0 {
            // It met no broker, or lost it for good. Its plays count once, so it may try again.
            #expect(plays.allNamed, "\(producer.process.lines(of: .standardError))")
            let again = try BuiltProcess(producer.arguments)
            #expect(again.status() == 0, "\(again.lines(of: .standardError))")
        }
        let total = plays.counts.values.reduce(0, +)
        #expect(try comesTrue { try counted(in: store).plays >= total })
        last.send(SIGTERM)
        #expect(last.status() == 0)
        client.hear(last.lines(of: .standardOutput), published: plays.counts)
        let again = Comment(rawValue: generator.repetition(of: "EndToEndTests.*killed"))
        #expect(client.complaints.prefix(5) == [], again)
        #expect(plays.differences(from: client.totals).prefix(5) == [], again)
        let stored = try counted(in: store)
        #expect(plays.differences(from: stored.counts).prefix(5) == [], again)
        #expect(plays.differences(from: stored.published).prefix(5) == [], again)
        print(
            "\(Self.kills) kills, \(total) plays, \(client.calls) calls,"
                + " \(client.repetitions) totals told again, by \(broker)")
    }

    private func start(_ broker: String, in folder: TemporaryFolder) throws -> (
        BuiltProcess, String
    ) {
        guard broker != "tally" else {
            return try BuiltProcess.broker()
        }
        // What a client had that has gone, a real nsqd delivers again when its time is up.
        return try BuiltProcess.listening(
            [
                "-msg-timeout=2s",
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

/// Plays as they come from publishers: with names and without, and some twice, for a publisher that
/// heard no answer publishes again.
private struct ManyPlays {
    private(set) var counts: [String: Int] = [:]
    private let videos: [String]
    private var named: [String] = []
    let allNamed: Bool

    init(_ generator: inout SeededGenerator, allNamed: Bool = false) {
        self.allNamed = allNamed
        videos = (0..<300).map { _ in Self.guid(&generator) }
    }

    /// The lines of so many more.
    mutating func next(_ count: Int, _ generator: inout SeededGenerator) -> String {
        (0..<count).map { _ in next(&generator) }.joined(separator: "\n")
    }

    private mutating func next(_ generator: inout SeededGenerator) -> String {
        if Int.random(in: 0..<10, using: &generator) == 0,
            let line = named.randomElement(using: &generator)
        {
            return line
        }
        // The square puts more of them on the first.
        let place = Double.random(in: 0..<1, using: &generator)
        let video = videos[Int(place * place * Double(videos.count))]
        counts[video, default: 0] += 1
        guard allNamed || Bool.random(using: &generator) else {
            return #"{"video_id":"\#(video)"}"#
        }
        let line = #"{"video_id":"\#(video)","play_id":"\#(Self.guid(&generator))"}"#
        named.append(line)
        return line
    }

    func differences(from totals: [String: Int]) -> [String] {
        Set(counts.keys).union(totals.keys).sorted().compactMap { id in
            let (plays, total) = (counts[id, default: 0], totals[id, default: 0])
            return plays == total ? nil : "\(id) has \(total) of \(plays) plays"
        }
    }

    private static func guid(_ generator: inout SeededGenerator) -> String {
        let (high, low) = (generator.next(), generator.next())
        return withUnsafeBytes(of: (high, low)) { bytes in
            UUID(uuid: bytes.loadUnaligned(as: uuid_t.self)).uuidString.lowercased()
        }
    }
}

/// A client that believes nothing, and writes down every total that cannot be.
private struct SuspiciousClient {
    private(set) var totals: [String: Int] = [:]
    private(set) var complaints: [String] = []
    private(set) var calls = 0
    private(set) var repetitions = 0

    /// Hears all the calls of one of the processor's lives.
    ///
    /// - Parameter published: the plays of each video up to then.
    mutating func hear(_ lines: [String], published: [String: Int]) {
        var told: Set<String> = []
        for line in lines {
            calls += 1
            guard let call = try? JSONDecoder().decode(CallJSON.self, from: Data(line.utf8)) else {
                complaints.append("no call: \(line)")
                continue
            }
            if !(1...20 ~= call.videos.count) { complaints.append("\(call.videos.count) videos") }
            for video in call.videos {
                hear(
                    video, published: published[video.video_id, default: 0],
                    isFirst: told.insert(video.video_id).inserted)
            }
        }
    }

    private mutating func hear(_ video: CallJSON.Video, published: Int, isFirst: Bool) {
        let (id, total) = (video.video_id, video.play_count)
        let last = totals[id, default: 0]
        if total > published { complaints.append("\(id) has \(total) of \(published) plays") }
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
