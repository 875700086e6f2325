import BrokerCore
import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQBroker

/// The tests fill 8 MiB of memory with parts of bodies of 4 MiB.
@Suite(.blocking, .timeLimit(.minutes(10))) struct `Half-sent bodies` {
    private static let body = [UInt8](repeating: 0x78, count: 4 << 20)
    private static let limit = 8 << 20

    private func start() async throws -> HTTPProbe {
        try await HTTPProbe.startOwn {
            $0.core.maxMessageBytes = Self.body.count
            $0.core.maxBodyBytes = Self.body.count + 1_000
            $0.core.maxMemoryBytes = Self.limit
        }
    }

    private func inputBytes(of nsqd: HTTPProbe) throws -> Int {
        let name = #"nsqd_memory_part_bytes{part="input"} "#
        let line = try nsqd.get("/metrics").body.split(separator: "\n").first {
            $0.hasPrefix(name)
        }
        return try #require(line.flatMap { Int($0.dropFirst(name.count)) })
    }

    @Test func `of PUBs and MPUBs are refused beyond the limit, and give their memory back`()
        async throws
    {
        let nsqd = try await start()
        var clients: [RawClient] = []
        let size = (Self.body.count).bigEndianBytes
        for number in 0..<6 {
            let client = try RawClient(to: nsqd.tcpAddress)
            if number % 2 == 0 {
                client.socket.send(Array("PUB plays\n".utf8) + size)
            } else {
                let one = (Self.body.count - 8).bigEndianBytes
                client.socket.send(Array("MPUB plays\n".utf8) + size + 1.bigEndianBytes + one)
            }
            client.socket.send(Self.body.prefix(3 << 20))
            clients.append(client)
            // The first body leaves too little memory for another one.
            #expect(try eventually { try inputBytes(of: nsqd) >= 3 << 20 })
        }
        #expect(try inputBytes(of: nsqd) <= Self.limit + Self.body.count)
        #expect(
            clients.last!.response().hasPrefix("E_MPUB_FAILED MPUB failed queue memory is full"))
        // Small commands of other clients are still executed.
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.tell("SUB plays a")
        #expect(consumer.response() == "OK")
        clients = []
        #expect(try eventually { try inputBytes(of: nsqd) == 0 })
        consumer.tell("PUB plays", body: "play")
        #expect(consumer.response() == "OK")
        await nsqd.stop()
    }

    @Test func `of requests are refused beyond the limit, and give their memory back`() async throws
    {
        let nsqd = try await start()
        var clients: [BlockingSocket] = []
        for _ in 0..<4 {
            let client = try BlockingSocket(to: nsqd.httpAddress)
            client.send(
                "POST /mpub?topic=plays HTTP/1.1\r\nHost: localhost\r\n"
                    + "Content-Length: \(Self.body.count)\r\n\r\n")
            clients.append(client)
        }
        for client in clients { client.send(Self.body.prefix(2_200_000)) }
        // The order in which the parts are read decides which of the requests is refused.
        let refused = try #require(BlockingSocket.firstReadableSocket(of: clients))
        let refusal = String(decoding: refused.receive(1_000), as: UTF8.self)
        #expect(refusal.hasPrefix("HTTP/1.1 503 ") || refusal.isEmpty)
        #expect(try inputBytes(of: nsqd) <= Self.limit)
        clients = []
        #expect(try eventually { try inputBytes(of: nsqd) == 0 })
        let published = try nsqd.post("/pub?topic=plays", "play")
        #expect(published.status == 200)
        await nsqd.stop()
    }
}

extension Int {
    fileprivate var bigEndianBytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32(self))
        return bytes
    }
}
