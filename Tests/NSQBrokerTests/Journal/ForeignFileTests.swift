import BrokerCore
import Foundation
import Logging
import NSQWire
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQBroker

/// A data path whose entries have unexpected kinds, names, sizes and contents.
@Suite(.blocking, .timeLimit(.minutes(5))) struct `A data path with foreign entries` {
    private let folder: TemporaryFolder
    private let log = RecordingLog()

    init() throws { folder = try TemporaryFolder() }

    private func start(maxBytesPerFile: Int = 100 << 20) async throws -> EmbeddedBroker {
        try await .start(at: folder, maxBytesPerFile: maxBytesPerFile, log: log)
    }

    private func publish(_ bodies: [String], maxBytesPerFile: Int = 100 << 20) async throws {
        let broker = try await start(maxBytesPerFile: maxBytesPerFile)
        let client = try RawClient(to: try SocketAddress(parsing: broker.tcpAddress))
        for body in bodies { client.ask("PUB plays", body: body) }
        await broker.stop()
    }

    private func inspect() throws(MessageLogError) -> JournalInspection {
        try JournalInspection(
            of: folder.url.path, at: Timestamp(monotonic: 1, wall: 1_700_000_000_000_000_000))
    }

    enum Kind: CaseIterable {
        case folder, pipe, loop, dangling, device
    }

    private func make(_ kind: Kind, _ name: String) throws {
        let path = folder.path(name)
        switch kind {
        case .folder: #expect(mkdir(path, 0o700) == 0)
        case .pipe: #expect(mkfifo(path, 0o600) == 0)
        case .loop: #expect(symlink(path, path) == 0)
        case .dangling: #expect(symlink("/no/such/file", path) == 0)
        case .device: #expect(symlink("/dev/zero", path) == 0)
        }
    }

    @Test(arguments: Kind.allCases, ["journal.000002.log", "journal.000009.log"])
    func `is reported and keeps its messages`(kind: Kind, name: String) async throws {
        try await publish(["one", "two"])
        try make(kind, name)
        // An inspection locks the folder as long as it exists.
        let last = try inspect().report.damages.last
        #expect(last.map { JournalFile.name(of: $0.file) } == name)
        #expect(last?.what == "not a regular file")
        #expect(try inspect().topics.map(\.depth) == [2])
        try await publish(["three"])
        #expect(log.lines(with: "not a regular file").count == 1)
        #expect(try inspect().topics.map(\.depth) == [3])
    }

    @Test func `with a gap in the file numbers is reported in one line`() async throws {
        try await publish(["one"])
        try Data().write(to: folder.url.appending(component: "journal.4000000000.log"))
        #expect(
            try inspect().report.damages.map(\.what) == [
                "the file is missing, and the 3999999997 files after it"
            ])
        try await publish(["two"])
        #expect(try inspect().topics.map(\.depth) == [2])
    }

    @Test func `with the highest file number refuses publishes instead of an overflow`()
        async throws
    {
        try Data().write(to: folder.url.appending(component: "journal.4294967295.log"))
        let broker = try await start()
        let client = try RawClient(to: try SocketAddress(parsing: broker.tcpAddress))
        client.tell("PUB plays", body: "one")
        #expect(log.waits(forLineWith: "has the highest file number"))
        await broker.stop()
    }

    @Test func `with a file of a terabyte, mostly a hole, is read in seconds`() async throws {
        try await publish(["one"])
        #expect(truncate(folder.path("journal.000001.log"), 1 << 40) == 0)
        #expect(try inspect().topics.map(\.depth) == [1])
        try await publish(["two"])
        #expect(try inspect().topics.map(\.depth) == [2])
    }

    @Test func `reports a bounded number of damaged ranges`() async throws {
        // Damage at the end would be a torn tail.
        try await publish((0..<3_000).map { "message \($0)" } + ["last"])
        let file = folder.url.appending(component: "journal.000001.log")
        var bytes = try Data(contentsOf: file)
        // Damages every payload. Each message has its own record, so there are as many damages as
        // messages.
        var offset = 0
        while let found = bytes[offset...].firstRange(of: Data("message ".utf8)) {
            bytes[found.lowerBound] ^= 1
            offset = found.upperBound
        }
        try bytes.write(to: file)
        let report = try inspect().report
        #expect(report.damageCount == 3_000)
        #expect(report.damages.count == JournalReport.maxDamages)
        await (try start()).stop()
        #expect(log.lines(with: "a damaged record").count == JournalReport.maxDamages)
        #expect(log.lines(with: "and 2000 more damaged ranges").count == 1)
    }

    @Test func `with more files than may be open is recovered and extended`() async throws {
        try await publish(
            (0..<300).map { "message \($0) " + String(repeating: "x", count: 1_000) },
            maxBytesPerFile: 1_024)
        #expect(try inspect().files.count >= 300)
        #expect(try inspect().topics.map(\.depth) == [300])
        let broker = try await start(maxBytesPerFile: 1_024)
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").filter {
            let target = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/self/fd/\($0)")
            return target?.hasPrefix(folder.url.path) == true
        }
        #expect(open.count <= OpenFiles.maxCount + 1)
        let client = try RawClient(to: try SocketAddress(parsing: broker.tcpAddress))
        client.ask("SUB plays count")
        client.tell("RDY 1")
        for _ in 0..<300 { client.tell("FIN \(client.message().id)") }
        await broker.stop()
        #expect(try inspect().topics.first?.channels.map(\.depth) == [0])
    }
}
