import NSQWire
import Testing
import UVLoop

/// What is compressed can be much more than it looks, and takes its time: others are not to wait for
/// all of it. Seen by the turns of the loop that it takes; all else here takes a few.
@Suite struct `Compression, turn by turn` {
    private static let body = [UInt8](repeating: 0x41, count: 1_000_000)

    @Test(arguments: ["deflate", "snappy"])
    func `takes much that was sent in little`(compression: String) async throws {
        let nsqd = try await HTTPProbe.startOwn()
        let producer = try LayeredClient(nsqd.tcpAddress.description)
        _ = try producer.identify(Self.wishes(compression))
        let before = try turns(of: nsqd)
        var commands: [UInt8] = []
        for _ in 1...20 {
            commands += Array("PUB plays\n".utf8)
            commands.append(bigEndian: Int32(Self.body.count))
            commands += Self.body
        }
        try producer.send(commands)
        for _ in 1...20 { #expect(try producer.text() == "OK") }
        #expect(try turns(of: nsqd) - before >= 18)
        await nsqd.stop()
    }

    @Test func `sends much a little at a time`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        let producer = try RawClient(to: nsqd.tcpAddress)
        let text = String(decoding: Self.body, as: UTF8.self)
        for _ in 1...5 { producer.ask("PUB plays", body: text) }
        let consumer = try LayeredClient(nsqd.tcpAddress.description)
        _ = try consumer.identify(Self.wishes("deflate"))
        let before = try turns(of: nsqd)
        try consumer.send("SUB plays counts\nRDY 5\n")
        #expect(try consumer.text() == "OK")
        for _ in 1...5 { #expect(Array(try consumer.frame().data.dropFirst(26)) == Self.body) }
        #expect(try turns(of: nsqd) - before >= 70)
        await nsqd.stop()
    }

    private func turns(of nsqd: HTTPProbe) throws -> Int {
        let name = "nsqd_loop_turn_seconds_count "
        let line = try nsqd.get("/metrics").body.split(separator: "\n").first {
            $0.hasPrefix(name)
        }
        return try #require(line.flatMap { Int($0.dropFirst(name.count)) })
    }

    private static func wishes(_ compression: String) -> Identify {
        var wishes = Identify()
        wishes.featureNegotiation = true
        wishes.deflate = compression == "deflate"
        wishes.snappy = compression == "snappy"
        return wishes
    }
}
