import BrokerCore
import Foundation
import NSQBroker
import NSQWire
import TallyBasics
import TestKit
import TestTraits
import Testing

/// Tests with the data path in `Fixtures/nsqd-data`, which its README describes.
@Suite(.blocking) struct `The data path of a real nsqd` {
    private let folder: TemporaryFolder
    private var source: URL { folder.url.appending(component: "nsqd") }
    private var target: URL { folder.url.appending(component: "ours") }

    init() throws {
        folder = try TemporaryFolder()
        let fixture = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/nsqd-data")
        try FileManager.default.copyItem(at: fixture, to: source)
    }

    private func runImport() async throws -> NSQDImport.Report {
        try await NSQDImport.run(from: source.path, into: target.path)
    }

    private func inspect() throws -> JournalInspection {
        try JournalInspection(
            of: target.path,
            at: Timestamp(monotonic: 1, wall: Int64(Date().timeIntervalSince1970 * 1e9)))
    }

    private func bodies(_ topic: String, _ channel: String? = nil) throws -> [String] {
        var bodies: [String] = []
        try inspect().readBacklog(of: TopicName(topic)!, channel.map { ChannelName($0)! }) {
            bodies.append(String(decoding: $0, as: UTF8.self))
            return true
        }
        return bodies
    }

    private func orders(_ numbers: Int...) -> [String] { numbers.map { "order \($0)" } }

    @Test func `is imported with topics, channels, pauses and the messages of each`()
        async throws
    {
        let report = try await runImport()
        #expect(report.topics == 4)
        #expect(report.channels == 4)
        #expect(report.messages == 34)
        #expect(report.remarks == [])
        #expect(report.damages == [])
        let inspection = try inspect()
        #expect(inspection.isHealthy)
        #expect(inspection.topics.map(\.name.text) == ["late", "lonely", "orders", "parked"])
        #expect(inspection.topics.map(\.isPaused) == [false, false, false, true])
        #expect(inspection.topics.map(\.depth) == [0, 7, 0, 5])
        let channels = inspection.topics.flatMap(\.channels)
        #expect(channels.map(\.name.text) == ["all", "billing", "mailing", "all"])
        #expect(channels.map(\.isPaused) == [false, false, true, false])
        #expect(channels.map(\.depth) == [1, 8, 12, 1])
        #expect(channels.map(\.deliveredBefore) == [0, 2, 0, 0])
        #expect(try bodies("orders", "billing") == orders(7, 8, 9, 10, 11, 12, 5, 6))
        #expect(
            try bodies("orders", "mailing") == orders(4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3))
        #expect(try bodies("lonely").contains("two\nlines"))
        #expect(try bodies("parked", "all").first == "before the pause")
        #expect(try bodies("late", "all") == ["deferred"])
    }

    @Test func `is not imported into an existing journal or while nsqd runs`()
        async throws
    {
        let lock = open(source.path, O_RDONLY | O_CLOEXEC)
        #expect(flock(lock, LOCK_EX) == 0)
        await #expect(
            throws: MessageLogError("\(source.path) is in use by a broker: stop it first")
        ) {
            try await runImport()
        }
        close(lock)
        _ = try await runImport()
        let before = try inspect().report
        await #expect(throws: MessageLogError("\(target.path) already contains a journal")) {
            try await runImport()
        }
        #expect(try inspect().report == before)
    }

    @Test func `is imported up to a damaged message`() async throws {
        let file = source.appending(component: "orders:mailing.diskqueue.000000.dat")
        var bytes = try Data(contentsOf: file)
        bytes[37] = 0x7f
        try bytes.write(to: file)
        let report = try await runImport()
        #expect(
            report.damages == [
                "orders:mailing.diskqueue.000000.dat, bytes 37 to 373: not a message",
                "orders:mailing: 3 of 12 messages found",
            ])
        #expect(try bodies("orders", "mailing") == orders(4, 2, 3))
        #expect(try bodies("orders", "billing").count == 8)
    }

    @Test func `is imported without the entries that are no regular files`() async throws {
        let path = { (name: String) in source.appending(component: name).path }
        for name in ["lonely.diskqueue.000000.dat", "parked.diskqueue.meta.dat"] {
            try FileManager.default.removeItem(atPath: path(name))
        }
        #expect(mkfifo(path("lonely.diskqueue.000000.dat"), 0o600) == 0)
        #expect(mkdir(path("parked.diskqueue.meta.dat"), 0o700) == 0)
        #expect(symlink("/dev/zero", path("late.diskqueue.000000.dat")) == 0)
        try Data(count: 10).write(to: source.appending(component: "a:b:c.diskqueue.000000.dat"))
        let report = try await runImport()
        #expect(report.damages.filter { $0.hasSuffix("is not a regular file") }.count == 3)
        #expect(report.remarks.contains { $0.hasPrefix("a:b:c: skipped") })
        #expect(report.messages == 27)
        #expect(try bodies("orders", "billing").count == 8)
    }

    /// The size of the message is larger than the file, and larger than any message.
    @Test(arguments: [Int64(1) << 40, 0])
    func `is imported up to a message of an impossible size`(extraBytes: Int64) async throws {
        let file = source.appending(component: "orders:mailing.diskqueue.000000.dat")
        var bytes = try Data(contentsOf: file)
        bytes.replaceSubrange(37..<41, with: [0x7f, 0xff, 0xff, 0xff])
        try bytes.write(to: file)
        #expect(truncate(file.path, 373 + off_t(extraBytes)) == 0)
        let report = try await runImport()
        #expect(report.damages.first?.contains("not a message") == true)
        #expect(try bodies("orders", "mailing") == orders(4, 2, 3))
    }

    @Test func `is read from the start if the read position is missing`() async throws {
        try FileManager.default.removeItem(
            at: source.appending(component: "orders:billing.diskqueue.meta.dat"))
        try Data().write(to: source.appending(component: "lonely.diskqueue.000007.dat.bad"))
        let report = try await runImport()
        #expect(
            report.remarks == [
                "lonely.diskqueue.000007.dat.bad: skipped, because nsqd could not read it",
                "orders:billing: the read position is missing, so finished messages may be redelivered",
            ])
        #expect(
            try bodies("orders", "billing") == orders(4, 5, 6, 7, 8, 9, 10, 11, 12, 5, 6))
    }

    @Test func `is imported by the names of its queues if nsqd.dat is missing`() async throws {
        try FileManager.default.removeItem(at: source.appending(component: "nsqd.dat"))
        let report = try await runImport()
        #expect(report.remarks.first?.hasPrefix("nsqd.dat is missing") == true)
        #expect(report.channels == 4)
        #expect(report.messages == 34)
        #expect(try bodies("orders", "billing").count == 8)
    }

    @Test func `is rejected if nsqd.dat is invalid or the folder is empty`() async throws {
        let metadata = source.appending(component: "nsqd.dat")
        try Data("{".utf8).write(to: metadata)
        await #expect(throws: MessageLogError("\(metadata.path) is not a valid nsqd metadata file"))
        {
            try await runImport()
        }
        for file in try FileManager.default.contentsOfDirectory(atPath: source.path) {
            try FileManager.default.removeItem(at: source.appending(component: file))
        }
        await #expect(throws: MessageLogError("no nsqd topics in \(source.path)")) {
            try await runImport()
        }
        #expect(!FileManager.default.fileExists(atPath: target.path))
    }
}
