import NSQWire
import Testing

@testable import BrokerCore

@Suite struct `An IDENTIFY that asks for layers` {
    @Test func `gets those that there are, and nothing more is taken before they are laid`() {
        var scene = Scene(tlsAvailable: true)
        let taken = scene.identify(
            #"{"feature_negotiation":true,"tls_v1":true,"snappy":true}"#, behind: "NOP\nNOP\n")
        #expect(taken == 8, "left behind")
        #expect(scene.session.pendingUpgrade == Upgrade(tls: true, compression: .snappy))
        let answer = scene.said()
        #expect(answer.contains(#""tls_v1":true,"deflate":false"#))
        #expect(answer.contains(#""snappy":true"#))

        scene.layTLS()
        #expect(scene.said() == "OK")
        #expect(scene.session.pendingUpgrade == Upgrade(compression: .snappy))
        scene.broker.hasLaidCompression(on: scene.session, at: scene.now)
        #expect(scene.said() == "OK")
        #expect(scene.session.pendingUpgrade == nil)
    }

    @Test(arguments: [
        (#""deflate":true"#, true, 6), (#""deflate":true,"deflate_level":3"#, true, 3),
        (#""deflate":true,"deflate_level":9"#, true, 7), (#""deflate_level":3"#, false, 6),
        (#""deflate":true,"deflate_level":-1"#, true, 6),
    ])
    func `gets the deflate level it asks for, up to the highest`(
        wishes: String, isGranted: Bool, level: Int
    ) {
        var scene = Scene(maxDeflateLevel: 7)
        scene.identify("{\"feature_negotiation\":true,\(wishes)}")
        #expect(
            scene.said().contains(
                #""deflate":\#(isGranted),"deflate_level":\#(level),"max_deflate_level":7"#))
        let granted = Upgrade(compression: .deflate(level: level))
        #expect(scene.session.pendingUpgrade == (isGranted ? granted : nil))
    }

    @Test func `is refused two compressions, unless one is switched off`() {
        let both = #"{"feature_negotiation":true,"deflate":true,"snappy":true}"#
        var scene = Scene()
        scene.identify(both)
        #expect(
            scene.said() == "E_IDENTIFY_FAILED cannot enable both deflate and snappy compression")
        #expect(scene.session.isEnded)

        scene = Scene(deflateEnabled: false)
        scene.identify(both)
        #expect(scene.session.pendingUpgrade == Upgrade(compression: .snappy))
    }

    @Test func `gets none without feature negotiation`() {
        var scene = Scene(tlsAvailable: true)
        scene.identify(#"{"tls_v1":true,"deflate":true,"snappy":true}"#)
        #expect(scene.said() == "OK")
        #expect(scene.session.pendingUpgrade == nil)
    }

    @Test func `is declined TLS without a certificate, and what it has already`() {
        let everything = #"{"feature_negotiation":true,"tls_v1":true,"snappy":true}"#
        var scene = Scene()
        scene.identify(everything)
        #expect(scene.session.pendingUpgrade == Upgrade(compression: .snappy))
        scene.broker.hasLaidCompression(on: scene.session, at: scene.now)
        _ = scene.said()
        scene.identify(everything)
        let answer = scene.said()
        #expect(answer.contains(#""tls_v1":false"#) && answer.contains(#""snappy":false"#))
        #expect(scene.session.pendingUpgrade == nil)
    }

    @Test func `hears no heartbeat while a layer is being laid, and is not missed`() {
        var scene = Scene(tlsAvailable: true)
        scene.identify(
            #"{"feature_negotiation":true,"tls_v1":true,"heartbeat_interval":1000}"#)
        _ = scene.said()
        scene.pass(.seconds(4))
        #expect(scene.said().isEmpty)
        #expect(!scene.session.isEnded)
        scene.layTLS()
        #expect(scene.said() == "OK")
        scene.pass(.milliseconds(1001))
        #expect(scene.said() == "_heartbeat_")
        scene.pass(.seconds(1))
        #expect(scene.session.isEnded, "no word for two intervals since")
    }
}

/// One client of a broker, and the time.
private struct Scene {
    let broker: Broker
    let session: Session
    var now = Moment(monotonic: 1_000_000_000, wall: 1_700_000_000_000_000_000)

    init(tlsAvailable: Bool = false, deflateEnabled: Bool = true, maxDeflateLevel: Int = 6) {
        var options = BrokerOptions()
        options.tlsAvailable = tlsAvailable
        options.deflateEnabled = deflateEnabled
        options.maxDeflateLevel = maxDeflateLevel
        broker = Broker(options: options, at: now)
        session = broker.connect(from: "127.0.0.1:1", host: "127.0.0.1", at: now)
        _ = Array("  V2".utf8).withUnsafeBytes { broker.receive($0, from: session, at: now) }
    }

    /// - Returns: how many bytes were not taken.
    @discardableResult
    mutating func identify(_ json: String, behind: String = "") -> Int {
        var bytes = Array("IDENTIFY\n".utf8)
        bytes.append(bigEndian: Int32(json.utf8.count))
        bytes += Array((json + behind).utf8)
        return bytes.withUnsafeBytes {
            bytes.count - broker.receive($0, from: session, at: now)
        }
    }

    func layTLS() {
        let tls = TLSSummary(version: "TLS1.3", cipherSuite: "", commonName: nil)
        broker.hasLaidTLS(tls, on: session, at: now)
    }

    mutating func pass(_ time: Duration) {
        now.monotonic += time.nanoseconds
        broker.tick(at: now)
    }

    /// The data of all frames since the last call.
    func said() -> String {
        var bytes: [UInt8] = []
        session.outbox.drain { bytes += $0 }
        var decoder = FrameDecoder()
        var texts: [String] = []
        try? decoder.feed(bytes) { texts.append(String(decoding: $0.data, as: UTF8.self)) }
        return texts.joined(separator: " ")
    }
}
