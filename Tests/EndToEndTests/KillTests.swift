import Foundation
import TestKit
import TestTraits
import Testing
import UVLoop

/// Kills the processor at random times under load, and restarts it. The calls of all runs and the final
/// store are checked from outside.
///
/// `TALLY_KILLS` sets the number of kills (default 20, or 5 with a store that fails). `NSQD` names a
/// real nsqd to test with as well. `TALLY_SEED` repeats a run.
@Suite(.blocking, .serialized) struct `A killed processor` {
    static let kills = setting("TALLY_KILLS").flatMap { Int($0) } ?? 20
    static let brokers = ["tally"] + (setting("NSQD").map { [$0] } ?? [])

    @Test(arguments: brokers)
    func `loses no play, counts none twice and publishes no wrong total`(
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

    /// Uses `tally serve`, because a kill then ends broker and processor together.
    @Test func `loses no play if its broker is killed at the same time`() throws {
        var generator = SeededGenerator()
        let folder = try TemporaryFolder()
        let reservation = try #require(PortReservation())
        defer { withExtendedLifetime(reservation) {} }
        let (first, address) = try BuiltProcess.listening(serve(at: reservation.address, folder))
        first.send(SIGKILL)
        #expect(first.status() == -SIGKILL)
        // A publisher that gets no answer publishes again, so its plays need a play_id.
        let plays = ManyPlays(&generator, allNamed: true)
        let store = folder.path("counts.sqlite")
        try killAgainAndAgain(plays, address, store, folder, "serve", &generator) {
            try BuiltProcess(serve(at: address, folder))
        }
    }

    /// The store is locked, full or moved away before most kills.
    @Test(.enabled(if: SmallDisk.isPossible, "mounting a disk needs name spaces"))
    func `loses no play while its store does not work`() throws {
        var generator = SeededGenerator()
        let folder = try TemporaryFolder()
        let (nsqd, address) = try BuiltProcess.broker()
        let store = try FailingStore()
        let plays = ManyPlays(&generator)
        try killAgainAndAgain(
            plays, address, store.path, folder, "tally with a sick store", &generator,
            kills: setting("TALLY_KILLS").flatMap { Int($0) } ?? 5, on: store
        ) {
            try store.disk.process(processArguments(address, store.path))
        }
        nsqd.send(SIGTERM)
        #expect(nsqd.status() == 0)
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
        kills: Int = Self.kills, on sick: FailingStore? = nil, _ start: () throws -> BuiltProcess
    ) throws {
        var plays = plays
        var client = CallVerifier()
        var producers: [(arguments: [String], process: BuiltProcess)] = []
        var sicknesses = 0
        for round in 0..<kills {
            let processor = try start()
            // Some runs end before the store is open. A store that is moved away must be open, or the
            // processor would create another one.
            if sick != nil || Int.random(in: 0..<4, using: &generator) > 0 {
                #expect(processor.line(containing: "counting plays") != nil)
            }
            let file = folder.path("plays-\(round).jsonl")
            try plays.next(.random(in: 1...2_000, using: &generator), &generator)
                .write(toFile: file, atomically: false, encoding: .utf8)
            let arguments = [
                "produce", "--nsqd-tcp-address=\(address)", "--file=\(file)", "--rate=3000",
            ]
            producers.append((arguments, try BuiltProcess(arguments)))
            // The random pause lets the failures of the store and the kills hit any step of counting.
            Thread.sleep(forTimeInterval: .random(in: 0...0.8, using: &generator))
            let failure = FailingStore.StoreFailure.allCases.randomElement(using: &generator)
            let cure = try failure.flatMap { try sick?.begin($0) }
            if sick != nil {
                sicknesses += 1
                Thread.sleep(forTimeInterval: .random(in: 0...1.2, using: &generator))
            }
            let isCuredBeforeKill = Bool.random(using: &generator)
            if isCuredBeforeKill, let cure {
                try cure()
                Thread.sleep(forTimeInterval: .random(in: 0...0.6, using: &generator))
            }
            processor.send(SIGKILL)
            if !isCuredBeforeKill { try cure?() }
            #expect(processor.status() == -SIGKILL, "\(processor.lines(of: .standardError))")
            client.hear(processor.lines(of: .standardOutput), published: plays.counts)
        }
        let last = try start()
        #expect(last.line(containing: "counting plays") != nil)
        for producer in producers where producer.process.status() != 0 {
            // The publish failed because the broker was not reachable. It can be repeated, because
            // plays with a play_id count once.
            #expect(plays.allNamed, "\(producer.process.lines(of: .standardError))")
            let again = try BuiltProcess(producer.arguments)
            #expect(again.status() == 0, "\(again.lines(of: .standardError))")
        }
        let total = plays.counts.values.reduce(0, +)
        #expect(try eventually { try counted(in: store, on: sick?.disk).plays >= total })
        last.send(SIGTERM)
        #expect(last.status() == 0)
        client.hear(last.lines(of: .standardOutput), published: plays.counts)
        let again = Comment(rawValue: generator.repetition(of: "EndToEndTests.*killed"))
        #expect(client.complaints.prefix(5) == [], again)
        #expect(plays.differences(from: client.totals).prefix(5) == [], again)
        let stored = try counted(in: store, on: sick?.disk)
        #expect(plays.differences(from: stored.counts).prefix(5) == [], again)
        #expect(plays.differences(from: stored.published).prefix(5) == [], again)
        print(
            "\(kills) kills, \(sicknesses) sicknesses, \(total) plays, \(client.calls) calls,"
                + " \(client.repetitions) totals told again, by \(broker)")
    }

    private func start(_ broker: String, in folder: TemporaryFolder) throws -> (
        BuiltProcess, String
    ) {
        guard broker != "tally" else {
            return try BuiltProcess.broker()
        }
        // A real nsqd redelivers a killed client's messages after their timeout.
        return try BuiltProcess.listening(
            [
                "-msg-timeout=2s",
                "-tcp-address=127.0.0.1:0", "-http-address=127.0.0.1:0",
                "-https-address=127.0.0.1:0", "-data-path=\(folder.url.path)",
            ], executable: URL(filePath: broker))
    }

    private func process(_ address: String, _ store: String) throws -> BuiltProcess {
        try BuiltProcess(processArguments(address, store))
    }

    private func processArguments(_ address: String, _ store: String) -> [String] {
        ["process", "--nsqd-tcp-address=\(address)", "--store=\(store)", "--freshness=1s"]
    }
}

private func setting(_ name: String) -> String? {
    ProcessInfo.processInfo.environment[name]
}

/// Generates plays with and without play_id, and some twice, like a publisher that retries.
private struct ManyPlays {
    private(set) var counts: [String: Int] = [:]
    private let videos: [String]
    private var named: [String] = []
    let allNamed: Bool

    init(_ generator: inout SeededGenerator, allNamed: Bool = false) {
        self.allNamed = allNamed
        videos = (0..<300).map { _ in Self.guid(&generator) }
    }

    /// Generates the lines of `count` plays.
    mutating func next(_ count: Int, _ generator: inout SeededGenerator) -> String {
        (0..<count).map { _ in next(&generator) }.joined(separator: "\n")
    }

    private mutating func next(_ generator: inout SeededGenerator) -> String {
        if Int.random(in: 0..<10, using: &generator) == 0,
            let line = named.randomElement(using: &generator)
        {
            return line
        }
        // The square gives the first videos more plays.
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

/// Checks the calls and records every wrong total.
private struct CallVerifier {
    private(set) var totals: [String: Int] = [:]
    private(set) var complaints: [String] = []
    private(set) var calls = 0
    private(set) var repetitions = 0

    /// Checks the calls of one run of the processor.
    ///
    /// - Parameter published: the plays of each video so far.
    mutating func hear(_ lines: [String], published: [String: Int]) {
        var told: Set<String> = []
        for line in lines {
            calls += 1
            guard let call = try? CallJSON(json: line.utf8) else {
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
            // A repetition is allowed for a call whose acceptance was not committed before the kill.
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

/// The counts of a store, from `tally counts`.
struct StoredCounts {
    var counts: [String: Int] = [:]
    var published: [String: Int] = [:]
    var plays: Int { counts.values.reduce(0, +) }
}

///
/// - Parameter disk: the disk on which the store is.
func counted(in store: String, on disk: SmallDisk? = nil) throws -> StoredCounts {
    struct VideosJSON: Decodable {
        struct Video: Decodable {
            var video_id: String
            var play_count: Int
            var published_count: Int
        }
        var videos: [Video]
    }
    let arguments = ["counts", "--store=\(store)", "--json"]
    let look = try disk?.process(arguments) ?? BuiltProcess(arguments)
    guard look.status() == 0, let line = look.lines(of: .standardOutput).first else {
        return .init()
    }
    let videos = try VideosJSON(json: line.utf8).videos
    return StoredCounts(
        counts: Dictionary(uniqueKeysWithValues: videos.map { ($0.video_id, $0.play_count) }),
        published: Dictionary(
            uniqueKeysWithValues: videos.map { ($0.video_id, $0.published_count) }))
}
