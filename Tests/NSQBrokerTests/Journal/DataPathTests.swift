import Foundation
import Logging
import NSQBroker
import TestKit
import TestTraits
import Testing
import UVLoop

/// Tests over sockets of a broker with a data path, and of the lines that it logs.
@Suite(.blocking) struct `A data path` {
    private let folder: TemporaryFolder
    private let log = RecordingLog()

    init() throws { folder = try TemporaryFolder() }

    private func start(
        _ change: (inout DiskOptions) -> Void = { _ in }
    ) async throws -> EmbeddedBroker {
        var options = ServerOptions()
        options.addresses.tcp = "127.0.0.1:0"
        options.addresses.http = "127.0.0.1:0"
        options.disk.dataPath = folder.url.path
        change(&options.disk)
        return try await EmbeddedBroker.start(options, Logger(label: "nsqd") { _ in log })
    }

    private func client(of broker: EmbeddedBroker) throws -> RawClient {
        try RawClient(to: try SocketAddress(parsing: broker.tcpAddress))
    }

    private func get(_ broker: EmbeddedBroker, _ target: String) throws -> ReceivedResponse {
        try ReceivedResponse(to: "GET", target, at: broker.httpAddress!)
    }

    private var journal: URL { folder.url.appending(component: "journal.000001.log") }

    @Test func `is locked by a broker until it stops`() async throws {
        let first = try await start()
        let path = folder.url.path
        await #expect {
            _ = try await start()
        } throws: { error in
            "\(error)".contains("cannot flock directory \(path)")
        }
        await first.stop()
        await (try start()).stop()
    }

    @Test func `logs the result of recovery at the start`() async throws {
        var broker = try await start()
        let publisher = try client(of: broker)
        for body in ["one", "two", "three"] { publisher.ask("PUB plays", body: body) }
        await broker.stop()
        #expect(log.lines(with: "DATA-PATH") == [])

        var bytes = try Data(contentsOf: journal)
        let three = try #require(bytes.firstRange(of: Data("three".utf8)))
        bytes[try #require(bytes.firstRange(of: Data("two".utf8))).lowerBound] ^= 1
        try bytes[..<three.lowerBound].write(to: journal)
        broker = try await start()
        let lines = log.lines(with: "DATA-PATH")
        #expect(lines.count == 3)
        #expect(lines.first?.hasPrefix("error DATA-PATH: journal.000001.log, bytes ") == true)
        #expect(lines.first?.hasSuffix(": a damaged record") == true)
        #expect(
            lines.dropFirst().first?.hasPrefix("warning DATA-PATH: removed a torn tail of ") == true
        )
        #expect(
            lines.last == "info DATA-PATH: read 1 message in 1 file; 1 unfinished")
        await broker.stop()
    }

    @Test func `makes the broker unhealthy while it is full`() async throws {
        let bound = 1 << 20
        let broker = try await start {
            $0.journal.maxDiskBytes = bound
            $0.syncTimeout = .milliseconds(20)
        }
        let body = String(repeating: "x", count: 100_000)
        #expect(try get(broker, "/ping").summary == "200 OK")
        let consumer = try client(of: broker)
        // Concurrent tests can delay this test for a long time.
        consumer.ask("IDENTIFY", body: #"{"heartbeat_interval":60000}"#)
        consumer.ask("SUB plays count")
        for _ in 1...20 { try client(of: broker).ask("PUB plays", body: body) }
        let reason = "NOK - the journal is full at \(bound) bytes"
        #expect(try get(broker, "/ping").summary == "500 \(reason)")
        #expect(try get(broker, "/stats?format=json").json()["health"] as? String == reason)
        #expect(try get(broker, "/stats").body.contains("Health: \(reason)"))
        #expect(
            log.lines(with: "DATA-PATH")
                == ["error DATA-PATH: the journal is full at \(bound) bytes"])

        let depth = await broker.statistics().topics.first?.channels.first?.depth ?? 0
        #expect((5..<11).contains(depth))
        consumer.tell("RDY 1")
        for _ in 1...depth { consumer.tell("FIN \(consumer.message().id)") }
        #expect(log.waits(for: "info DATA-PATH: the journal is writable again"))
        #expect(try get(broker, "/ping").summary == "200 OK")
        try client(of: broker).ask("PUB plays", body: body)
        #expect(consumer.message().body == body)
        await broker.stop()
    }

    @Test func `that is full makes publishing over HTTP fail`() async throws {
        let broker = try await start { $0.journal.maxDiskBytes = 1_000 }
        let address = try #require(broker.httpAddress)
        let body = [UInt8](repeating: 1, count: 2_000)
        let refusal = try ReceivedResponse(
            to: "POST", "/pub?topic=plays", at: address, body: body)
        #expect(refusal.summary == #"503 {"message":"NOT_STORED"}"#)
        let small = try ReceivedResponse(to: "POST", "/pub?topic=plays", at: address, body: [1])
        #expect(small.summary == "200 OK")
        await broker.stop()
    }
}
