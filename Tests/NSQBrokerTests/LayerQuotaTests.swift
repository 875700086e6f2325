import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

/// A few compressed bytes can become megabytes, and the work for them must not delay other clients.
/// The tests count loop iterations; everything except this work takes only a few of them.
@Suite(.blocking) struct `Compression` {
    private static let body = [UInt8](repeating: 0x41, count: 1_000_000)

    @Test(arguments: ["deflate", "snappy"])
    func `spreads decompressing a large input over loop iterations`(compression: String)
        async throws
    {
        let nsqd = try await HTTPProbe.startOwn()
        let producer = try LayeredClient(nsqd.tcpAddress.description)
        _ = try producer.identify(Self.settings(compression))
        let before = try iterations(of: nsqd)
        var commands: [UInt8] = []
        for _ in 1...20 {
            commands += Array("PUB plays\n".utf8)
            commands.append(bigEndian: Int32(Self.body.count))
            commands += Self.body
        }
        try producer.send(commands)
        for _ in 1...20 { #expect(try producer.text() == "OK") }
        #expect(try iterations(of: nsqd) - before >= 18)
        await nsqd.stop()
    }

    @Test func `spreads compressing a large output over loop iterations`() async throws {
        let nsqd = try await HTTPProbe.startOwn()
        let producer = try RawClient(to: nsqd.tcpAddress)
        let text = String(decoding: Self.body, as: UTF8.self)
        for _ in 1...5 { producer.ask("PUB plays", body: text) }
        let consumer = try LayeredClient(nsqd.tcpAddress.description)
        _ = try consumer.identify(Self.settings("deflate"))
        let before = try iterations(of: nsqd)
        try consumer.send("SUB plays counts\nRDY 5\n")
        #expect(try consumer.text() == "OK")
        for _ in 1...5 { #expect(Array(try consumer.frame().data.dropFirst(26)) == Self.body) }
        #expect(try iterations(of: nsqd) - before >= 70)
        await nsqd.stop()
    }

    private func iterations(of nsqd: HTTPProbe) throws -> Int {
        let name = "nsqd_loop_iteration_seconds_count "
        let line = try nsqd.get("/metrics").body.split(separator: "\n").first {
            $0.hasPrefix(name)
        }
        return try #require(line.flatMap { Int($0.dropFirst(name.count)) })
    }

    private static func settings(_ compression: String) -> Identify {
        var settings = Identify()
        settings.featureNegotiation = true
        settings.deflate = compression == "deflate"
        settings.snappy = compression == "snappy"
        return settings
    }
}
