import BrokerCore
import Foundation
import Logging
import NSQWire
import TallyBasics
import TestKit
import TestTraits
import Testing

@testable import NSQBroker

/// Brokers that are started on the data path of a real nsqd, `Fixtures/nsqd-data`.
@Suite(.blocking) struct `A broker on the data path of nsqd` {
    private let folder: TemporaryFolder
    private var path: String { folder.path("nsqd") }
    private let log = RecordingLog()

    init() throws {
        folder = try TemporaryFolder()
        let fixture = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/nsqd-data")
        try FileManager.default.copyItem(at: fixture, to: URL(filePath: path))
        try FileManager.default.removeItem(atPath: "\(path)/README.md")
    }

    private func start() async throws -> EmbeddedBroker {
        var options = ServerOptions()
        options.addresses.tcp = "127.0.0.1:0"
        options.addresses.http = ""
        options.disk.dataPath = path
        return try await EmbeddedBroker.start(options, Logger(label: "nsqd") { _ in log })
    }

    private func names(_ subfolder: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(path)/\(subfolder)").sorted()
    }

    /// Starts and stops a broker, and checks that it has all topics, channels and messages.
    private func expectAll() async throws {
        let broker = try await start()
        let topics = await broker.statistics().topics
        await broker.stop()
        #expect(topics.map(\.name) == ["late", "lonely", "orders", "parked"])
        #expect(topics.map(\.depth) == [0, 7, 0, 5])
        #expect(topics.flatMap(\.channels).map(\.name) == ["all", "billing", "mailing", "all"])
        #expect(topics.flatMap(\.channels).map(\.depth) == [1, 8, 12, 1])
    }

    @Test func `takes over all messages and keeps nsqd's files`() async throws {
        let before = try names()
        try await expectAll()
        #expect(try names("nsqd-files") == before)
        #expect(try names() == ["journal.000001.log", "nsqd-files"])
        #expect(
            log.lines(with: "took over") == [
                "info DATA-PATH: took over 4 topics, 4 channels and 34 messages of nsqd"
            ])
        // The next start finds only the journal.
        try await expectAll()
        #expect(log.lines(with: "took over").count == 1)
    }

    @Test func `begins again if it was killed while it wrote the journal`() async throws {
        let unfinished = "\(path)/nsqd-takeover.tmp"
        try FileManager.default.createDirectory(
            atPath: unfinished, withIntermediateDirectories: false)
        for name in ["journal.000001.log", "journal.000002.log"] {
            try Data("torn".utf8).write(to: URL(filePath: "\(unfinished)/\(name)"))
        }
        try await expectAll()
        #expect(try names() == ["journal.000001.log", "nsqd-files"])
    }

    /// Performs the first `count` renames of a takeover, as a killed broker does.
    @Test(arguments: 0...18)
    func `continues if it was killed while it moved files`(count: Int) async throws {
        let files = try names()
        let finished = "\(path)/nsqd-takeover"
        _ = try await NSQDImport.run(from: path, into: finished)
        let renames =
            files.map { ("\(path)/\($0)", "\(finished)/\($0)") } + [
                ("\(finished)/journal.000001.log", "\(path)/journal.000001.log")
            ]
        for (from, to) in renames.prefix(count) {
            try FileManager.default.moveItem(atPath: from, toPath: to)
        }
        #expect(renames.count == 18)
        try await expectAll()
        #expect(try names("nsqd-files") == files)
        #expect(try names() == ["journal.000001.log", "nsqd-files"])
    }

    @Test func `keeps the files of a second takeover in another folder`() async throws {
        try FileManager.default.createDirectory(
            atPath: "\(path)/nsqd-files", withIntermediateDirectories: false)
        try await expectAll()
        #expect(try names() == ["journal.000001.log", "nsqd-files", "nsqd-files.2"])
    }

    @Test func `starts empty if nsqd had no topics`() async throws {
        for name in try names() { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }
        try Data(#"{"topics":[],"version":"1.3.0"}"#.utf8)
            .write(to: URL(filePath: "\(path)/nsqd.dat"))
        let broker = try await start()
        #expect(await broker.statistics().topics == [])
        await broker.stop()
        #expect(try names("nsqd-files") == ["nsqd.dat"])
    }

    @Test func `does not start and changes nothing if nsqd.dat is invalid`() async throws {
        try Data("{".utf8).write(to: URL(filePath: "\(path)/nsqd.dat"))
        let before = try names()
        await #expect(
            throws: MessageLogError("\(path)/nsqd.dat is not a valid nsqd metadata file")
        ) {
            _ = try await start()
        }
        #expect(try names() == before)
    }

    @Test func `does not start while nsqd runs`() async throws {
        let lock = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(lock) }
        #expect(flock(lock, LOCK_EX) == 0)
        await #expect {
            _ = try await start()
        } throws: { error in
            "\(error)".contains("cannot flock directory \(path)")
        }
    }

    @Test func `reports files of nsqd beside a journal as ignored`() async throws {
        try await expectAll()
        try Data("{}".utf8).write(to: URL(filePath: "\(path)/nsqd.dat"))
        try await expectAll()
        #expect(log.lines(with: "error").count == 1)
        #expect(log.lines(with: "files of nsqd that are ignored").count == 1)
        #expect(try names().contains("nsqd.dat"))
    }

    @Test func `imports a topic and a channel that nsqd.dat names twice once`() async throws {
        let twice = #"""
            {"topics":[{"name":"late","paused":false,"channels":[{"name":"all","paused":false}]},
            {"name":"late","paused":true,"channels":[{"name":"all","paused":true},
            {"name":"other","paused":false}]}],"version":"1.3.0"}
            """#
        for name in try names() where !name.hasPrefix("late") {
            try FileManager.default.removeItem(atPath: "\(path)/\(name)")
        }
        try Data(twice.utf8).write(to: URL(filePath: "\(path)/nsqd.dat"))
        let broker = try await start()
        let topics = await broker.statistics().topics
        await broker.stop()
        #expect(topics.map(\.name) == ["late"])
        #expect(topics.first?.isPaused == true)
        let channels = topics.first?.channels ?? []
        #expect(channels.map(\.name) == ["all", "other"])
        #expect(channels.map(\.isPaused) == [true, false])
        #expect(channels.map(\.depth) == [1, 0])
    }
}
