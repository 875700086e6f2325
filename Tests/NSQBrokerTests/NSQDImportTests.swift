import BrokerCore
import Foundation
import NSQBroker
import NSQWire
import TestKit
import Testing

/// See `Fixtures/nsqd-data/README.md`.
@Suite struct `What a real nsqd has left` {
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

    private func move() async throws -> NSQDImport.Report {
        try await NSQDImport.run(from: source.path, into: target.path)
    }

    private func look() throws -> JournalInspection {
        try JournalInspection(
            of: target.path,
            at: Moment(monotonic: 1, wall: Int64(Date().timeIntervalSince1970 * 1e9)))
    }

    private func bodies(_ topic: String, _ channel: String? = nil) throws -> [String] {
        var bodies: [String] = []
        try look().readBacklog(of: TopicName(topic)!, channel.map { ChannelName($0)! }) {
            bodies.append(String(decoding: $0, as: UTF8.self))
            return true
        }
        return bodies
    }

    private func orders(_ numbers: Int...) -> [String] { numbers.map { "order \($0)" } }

    @Test func `is here afterwards: topics, channels, pauses, and whose each message is`()
        async throws
    {
        let report = try await move()
        #expect(report.topics == 4)
        #expect(report.channels == 4)
        #expect(report.messages == 34)
        #expect(report.remarks == [])
        #expect(report.damages == [])
        let inspection = try look()
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

    @Test func `is not moved to where messages are already, nor while nsqd works with it`()
        async throws
    {
        let lock = open(source.path, O_RDONLY | O_CLOEXEC)
        #expect(flock(lock, LOCK_EX) == 0)
        await #expect(throws: LedgerError("a broker works with \(source.path): stop it first")) {
            try await move()
        }
        close(lock)
        _ = try await move()
        let before = try look().report
        await #expect(throws: LedgerError("there is a journal in \(target.path) already")) {
            try await move()
        }
        #expect(try look().report == before)
    }

    @Test func `is read as far as it makes sense`() async throws {
        let file = source.appending(component: "orders:mailing.diskqueue.000000.dat")
        var bytes = try Data(contentsOf: file)
        bytes[37] = 0x7f
        try bytes.write(to: file)
        let report = try await move()
        #expect(
            report.damages == [
                "orders:mailing.diskqueue.000000.dat, bytes 37 to 373: no message",
                "orders:mailing: nsqd had 12 messages, 3 of them are here",
            ])
        #expect(try bodies("orders", "mailing") == orders(4, 2, 3))
        #expect(try bodies("orders", "billing").count == 8)
    }

    @Test func `is read from the start where nothing says how far nsqd came`() async throws {
        try FileManager.default.removeItem(
            at: source.appending(component: "orders:billing.diskqueue.meta.dat"))
        try Data().write(to: source.appending(component: "lonely.diskqueue.000007.dat.bad"))
        let report = try await move()
        #expect(
            report.remarks == [
                "lonely.diskqueue.000007.dat.bad: nsqd could not read it, and it is not read here",
                "orders:billing: nothing says where nsqd has come to; messages may come once more",
            ])
        #expect(
            try bodies("orders", "billing") == orders(4, 5, 6, 7, 8, 9, 10, 11, 12, 5, 6))
    }

    @Test func `is known by its queues if nsqd.dat is gone`() async throws {
        try FileManager.default.removeItem(at: source.appending(component: "nsqd.dat"))
        let report = try await move()
        #expect(report.remarks.first?.hasPrefix("there is no nsqd.dat") == true)
        #expect(report.channels == 4)
        #expect(report.messages == 34)
        #expect(try bodies("orders", "billing").count == 8)
    }

    @Test func `is refused if nsqd.dat is none, or if there is nothing at all`() async throws {
        let metadata = source.appending(component: "nsqd.dat")
        try Data("{".utf8).write(to: metadata)
        await #expect(throws: LedgerError("\(metadata.path) is not what nsqd writes")) {
            try await move()
        }
        for file in try FileManager.default.contentsOfDirectory(atPath: source.path) {
            try FileManager.default.removeItem(at: source.appending(component: file))
        }
        await #expect(throws: LedgerError("there is no topic of nsqd in \(source.path)")) {
            try await move()
        }
        #expect(!FileManager.default.fileExists(atPath: target.path))
    }
}
