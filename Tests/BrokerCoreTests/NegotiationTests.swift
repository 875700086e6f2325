import NSQWire
import TallyBasics
import Testing

@testable import BrokerCore

@Suite struct `IDENTIFY with transport layers` {
    @Test func `grants available layers, and consumes no further bytes before they are installed`()
    {
        var scene = Scene(tlsAvailable: true)
        let taken = scene.identify(
            #"{"feature_negotiation":true,"tls_v1":true,"snappy":true}"#, behind: "NOP\nNOP\n")
        #expect(taken == 8, "left behind")
        #expect(scene.session.pendingUpgrade == Upgrade(tls: true, compression: .snappy))
        let answer = scene.receivedText()
        #expect(answer.contains(#""tls_v1":true,"deflate":false"#))
        #expect(answer.contains(#""snappy":true"#))

        scene.installTLS()
        #expect(scene.receivedText() == "OK")
        #expect(scene.session.pendingUpgrade == Upgrade(compression: .snappy))
        scene.broker.didInstallCompression(on: scene.session, at: scene.now)
        #expect(scene.receivedText() == "OK")
        #expect(scene.session.pendingUpgrade == nil)
    }

    @Test(arguments: [
        (#""deflate":true"#, true, 6), (#""deflate":true,"deflate_level":3"#, true, 3),
        (#""deflate":true,"deflate_level":9"#, true, 7), (#""deflate_level":3"#, false, 6),
        (#""deflate":true,"deflate_level":-1"#, true, 6),
    ])
    func `grants the requested deflate level up to the maximum`(
        request: String, isGranted: Bool, level: Int
    ) {
        var scene = Scene(maxDeflateLevel: 7)
        scene.identify("{\"feature_negotiation\":true,\(request)}")
        #expect(
            scene.receivedText().contains(
                #""deflate":\#(isGranted),"deflate_level":\#(level),"max_deflate_level":7"#))
        let granted = Upgrade(compression: .deflate(level: level))
        #expect(scene.session.pendingUpgrade == (isGranted ? granted : nil))
    }

    @Test func `refuses two compressions unless one of them is disabled`() {
        let both = #"{"feature_negotiation":true,"deflate":true,"snappy":true}"#
        var scene = Scene()
        scene.identify(both)
        #expect(
            scene.receivedText()
                == "E_IDENTIFY_FAILED cannot enable both deflate and snappy compression")
        #expect(scene.session.isEnded)

        scene = Scene(deflateEnabled: false)
        scene.identify(both)
        #expect(scene.session.pendingUpgrade == Upgrade(compression: .snappy))
    }

    @Test func `grants no layers without feature negotiation`() {
        var scene = Scene(tlsAvailable: true)
        scene.identify(#"{"tls_v1":true,"deflate":true,"snappy":true}"#)
        #expect(scene.receivedText() == "OK")
        #expect(scene.session.pendingUpgrade == nil)
    }

    @Test func `declines TLS without a certificate, and layers that are installed already`() {
        let everything = #"{"feature_negotiation":true,"tls_v1":true,"snappy":true}"#
        var scene = Scene()
        scene.identify(everything)
        #expect(scene.session.pendingUpgrade == Upgrade(compression: .snappy))
        scene.broker.didInstallCompression(on: scene.session, at: scene.now)
        _ = scene.receivedText()
        scene.identify(everything)
        let answer = scene.receivedText()
        #expect(answer.contains(#""tls_v1":false"#) && answer.contains(#""snappy":false"#))
        #expect(scene.session.pendingUpgrade == nil)
    }

    @Test func `sends and expects no heartbeats while a layer is being installed`() {
        var scene = Scene(tlsAvailable: true)
        scene.identify(
            #"{"feature_negotiation":true,"tls_v1":true,"heartbeat_interval":1000}"#)
        _ = scene.receivedText()
        scene.pass(.seconds(4))
        #expect(scene.receivedText().isEmpty)
        #expect(!scene.session.isEnded)
        scene.installTLS()
        #expect(scene.receivedText() == "OK")
        scene.pass(.milliseconds(1001))
        #expect(scene.receivedText() == "_heartbeat_")
        scene.pass(.seconds(1))
        #expect(scene.session.isEnded, "no word for two intervals since")
    }
}

/// A broker with one client and a clock that the test advances.
private struct Scene {
    let broker: Broker
    let session: Session
    var now = Timestamp(monotonic: 1_000_000_000, wall: 1_700_000_000_000_000_000)

    init(tlsAvailable: Bool = false, deflateEnabled: Bool = true, maxDeflateLevel: Int = 6) {
        var options = BrokerOptions()
        options.tlsAvailable = tlsAvailable
        options.deflateEnabled = deflateEnabled
        options.maxDeflateLevel = maxDeflateLevel
        broker = Broker(options: options, at: now)
        session = broker.connect(from: "127.0.0.1:1", host: "127.0.0.1", at: now)
        _ = Array("  V2".utf8).withUnsafeBytes { broker.receive($0, from: session, at: now) }
    }

    /// - Returns: the number of bytes that were not consumed.
    @discardableResult
    mutating func identify(_ json: String, behind: String = "") -> Int {
        var bytes = Array("IDENTIFY\n".utf8)
        bytes.append(bigEndian: Int32(json.utf8.count))
        bytes += Array((json + behind).utf8)
        return bytes.withUnsafeBytes {
            bytes.count - broker.receive($0, from: session, at: now)
        }
    }

    func installTLS() {
        let tls = TLSSummary(version: "TLS1.3", cipherSuite: "", commonName: nil)
        broker.didInstallTLS(tls, on: session, at: now)
    }

    mutating func pass(_ time: Duration) {
        now.monotonic += time.nanoseconds
        broker.tick(at: now)
    }

    /// The data of all frames since the last call, separated by spaces.
    func receivedText() -> String {
        var bytes: [UInt8] = []
        session.outbox.drain { bytes += $0 }
        var decoder = FrameDecoder()
        var texts: [String] = []
        try? decoder.feed(bytes) { texts.append(String(decoding: $0.data, as: UTF8.self)) }
        return texts.joined(separator: " ")
    }
}

@Suite struct `A limit of the output buffer below its smallest size` {
    @Test(arguments: [
        (#"{"output_buffer_size":64}"#, true), (#"{"output_buffer_timeout":25}"#, true),
        (#"{"output_buffer_size":-1}"#, false), (#"{"output_buffer_timeout":-1}"#, false),
    ])
    func `refuses every size and every timeout, as nsqd does`(request: String, isRefused: Bool) {
        let broker = TestBroker {
            $0.maxOutputBufferBytes = 63
            $0.maxOutputBufferTimeout = .milliseconds(24)
        }
        let client = broker.connectedClient()
        client.send(text: "  V2")
        client.send(.identify, body: Array(request.utf8))
        #expect(client.isDisconnected == isRefused)
    }
}
