import BrokerCore
import Foundation
import Logging
import NSQBroker
import NSQWire
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `An inspected data path` {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func start(maxBytesPerFile: Int = 100 << 20) async throws -> EmbeddedBroker {
        try await .start(at: folder, maxBytesPerFile: maxBytesPerFile)
    }

    /// Publishes each body separately, and creates a channel after some of them.
    private func fill(
        _ bodies: [String], channelAfter count: Int, maxBytesPerFile: Int = 100 << 20
    ) async throws {
        let broker = try await start(maxBytesPerFile: maxBytesPerFile)
        let client = try RawClient(to: try SocketAddress(parsing: broker.tcpAddress))
        for body in bodies[..<count] { client.ask("PUB plays", body: body) }
        client.ask("SUB plays count")
        for body in bodies[count...] { client.ask("PUB plays", body: body) }
        await broker.stop()
    }

    private func inspect() throws(MessageLogError) -> JournalInspection {
        try JournalInspection(of: folder.url.path, at: .now)
    }

    private func bodies(
        _ inspection: JournalInspection, _ topic: String, _ channel: String? = nil
    ) throws -> [String] {
        var bodies: [String] = []
        try inspection.readBacklog(of: TopicName(topic)!, channel.map { ChannelName($0)! }) {
            bodies.append(String(decoding: $0, as: UTF8.self))
            return true
        }
        return bodies
    }

    private var journal: URL { folder.url.appending(component: "journal.000001.log") }

    @Test func `reports unfinished messages and stays unchanged`() async throws {
        try await fill(["one", "two", "three"], channelAfter: 1)
        let before = try Data(contentsOf: journal)
        let inspection = try inspect()
        #expect(inspection.isHealthy)
        #expect(inspection.files.map(\.name) == ["journal.000001.log"])
        #expect(inspection.report.messages == 3)
        #expect(inspection.topics.map(\.name.text) == ["plays"])
        #expect(inspection.topics[0].channels.map(\.depth) == [3])
        #expect(try bodies(inspection, "plays") == ["one", "two", "three"])
        #expect(try bodies(inspection, "plays", "count") == ["one", "two", "three"])
        #expect(try Data(contentsOf: journal) == before)
    }

    @Test func `reports which messages were delivered before`() async throws {
        let broker = try await start()
        let client = try RawClient(to: try SocketAddress(parsing: broker.tcpAddress))
        for body in ["one", "two", "three", "four"] { client.ask("PUB plays", body: body) }
        client.ask("SUB plays count")
        client.tell("RDY 3")
        let first = client.message()
        let second = client.message()
        _ = client.message()
        client.tell("RDY 0")
        client.tell("FIN \(first.id)")
        client.tell("REQ \(second.id) 600000")
        // The response to a later command shows that the records of earlier commands are written.
        client.ask("PUB fence", body: "fence")
        await broker.stop()
        let channel = try inspect().topics.first { $0.name.text == "plays" }!.channels[0]
        #expect(channel.depth == 2)
        #expect(channel.deliveredBefore == 1)
        #expect(channel.deferred == 1)
        #expect(try bodies(try inspect(), "plays", "count") == ["two", "three", "four"])
    }

    @Test func `reports the damaged file and range and reads the other messages`() async throws {
        try await fill(["one", "two", "three"], channelAfter: 0)
        var bytes = try Data(contentsOf: journal)
        let place = bytes.firstRange(of: Data("two".utf8))!.lowerBound
        bytes[place] ^= 1
        try bytes.write(to: journal)
        let inspection = try inspect()
        #expect(!inspection.isHealthy)
        #expect(inspection.report.damages.map(\.file) == [1])
        #expect(inspection.report.damages.first?.range.contains(place) == true)
        #expect(try bodies(inspection, "plays") == ["one", "three"])
    }

    @Test func `is damaged if a file between others is missing`() async throws {
        let bodies = (1...9).map { "\($0)" + String(repeating: " ", count: 500) }
        try await fill(bodies, channelAfter: 0, maxBytesPerFile: 1500)
        #expect(try inspect().isHealthy)
        try FileManager.default.removeItem(
            at: folder.url.appending(component: "journal.000002.log"))
        #expect(
            try inspect().report.damages.map(\.description)
                == ["journal.000002.log, bytes 0 to 0: the file is missing"])
    }

    @Test func `is healthy if its last record is torn`() async throws {
        try await fill(["one", "two"], channelAfter: 0)
        var bytes = try Data(contentsOf: journal)
        let place = bytes.firstRange(of: Data("two".utf8))!.lowerBound
        bytes = bytes[...place]
        try bytes.write(to: journal)
        let inspection = try inspect()
        #expect(inspection.isHealthy)
        #expect(inspection.report.tornBytes > 0)
        #expect(try bodies(inspection, "plays") == ["one"])
        #expect(try Data(contentsOf: journal) == bytes)
    }

    @Test func `is rejected while a broker uses it`() async throws {
        try await fill(["one"], channelAfter: 0)
        let broker = try await start()
        let refusal = #expect(throws: MessageLogError.self) { try inspect() }
        #expect(refusal?.description == "\(folder.url.path) is in use by a broker: stop it first")
        await broker.stop()
        _ = try inspect()
    }

    @Test func `is rejected without a journal, and reports unknown topics and channels`()
        async throws
    {
        let path = folder.url.path
        #expect(throws: MessageLogError("no journal in \(path)")) { try inspect() }
        #expect(throws: MessageLogError("cannot open \(path)/no: No such file or directory")) {
            try JournalInspection(of: path + "/no", at: .now)
        }
        try await fill(["one"], channelAfter: 0)
        let inspection = try inspect()
        #expect(throws: MessageLogError("unknown topic other")) {
            try bodies(inspection, "other")
        }
        #expect(throws: MessageLogError("unknown channel other of topic plays")) {
            try bodies(inspection, "plays", "other")
        }
    }
}

extension Timestamp {
    fileprivate static var now: Timestamp {
        Timestamp(monotonic: 1, wall: Int64(Date().timeIntervalSince1970 * 1e9))
    }
}
