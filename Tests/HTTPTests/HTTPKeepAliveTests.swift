import HTTP
import TestKit
import TestTraits
import Testing
import Transport
import UVLoop

@Suite(.blocking, .timeLimit(.minutes(15))) struct `An HTTP client that keeps its connection` {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"

    @Test func `uses one connection for several requests`() throws {
        let server = RawServer([[Self.ok, Self.ok, "HTTP/1.1 204 No Content\r\n\r\n"]])
        let results = try post(3, to: server)
        #expect(results == [.success(200), .success(200), .success(204)])
        #expect(server.connections == 1)
        #expect(server.received.hasPrefix("POST /a HTTP/1.1\r\nHost: 127.0.0.1:"))
        #expect(server.received.contains("Content-Length: 4\r\n\r\nbody"))
    }

    @Test func `opens a new connection if the server closes the old one`() throws {
        let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        let server = RawServer([[closing], [Self.ok]])
        #expect(try post(2, to: server) == [.success(200), .success(200)])
        #expect(server.connections == 2)
    }

    @Test func `repeats a request when the server closes a kept connection`() throws {
        let server = RawServer([[Self.ok, RawServer.close], [Self.ok]])
        #expect(try post(2, to: server) == [.success(200), .success(200)])
        #expect(server.connections == 2)
    }

    @Test func `fails if the server closes a new connection without a response`() throws {
        let server = RawServer([[RawServer.close], [Self.ok]])
        #expect(try post(1, to: server) == [.failure(.malformedResponse)])
        #expect(server.connections == 1)
    }

    @Test func `accepts any status, and a response that ends with the connection`() throws {
        let server = RawServer([["HTTP/1.0 503 Busy\r\n\r\nlater", RawServer.close]])
        #expect(try post(1, to: server) == [.failure(.requestTimedOut)])
        let closing = RawServer([["HTTP/1.0 503 Busy\r\n\r\nlater" + RawServer.close]])
        #expect(try post(1, to: closing) == [.success(503)])
    }

    @Test func `opens a new connection after a timeout`() throws {
        let server = RawServer([[""], [Self.ok]])
        #expect(try post(2, to: server) == [.failure(.requestTimedOut), .success(200)])
    }

    @Test func `uses TLS with a server whose certificate is trusted, and with no other`() throws {
        let certificates = try TestCertificates()
        for (trust, isTrusted) in [
            (TLSClientOptions.Trust.authorities(file: certificates.authority), true),
            (.authorities(file: certificates.stranger.certificate), false), (.system, false),
        ] {
            var options = TLSClientOptions()
            options.trust = trust
            let server = RawServer(
                [[Self.ok, Self.ok]],
                tls: try TLSContext(
                    server: TLSServerOptions(
                        certificateFile: certificates.server.certificate,
                        keyFile: certificates.server.key)))
            let results = try post(2, to: server, tls: TLSContext(client: options))
            if isTrusted {
                #expect(results == [.success(200), .success(200)])
            } else {
                guard case .failure(.tlsFailed) = results.first else {
                    Issue.record("\(results)")
                    continue
                }
                #expect(server.received.isEmpty)
            }
        }
    }

    /// Sends `count` requests, one after the other. The clock advances only when the server sends no complete response.
    private func post(
        _ count: Int, to server: RawServer, tls: TLSContext? = nil
    ) throws -> [Result<Int, HTTPClientError>] {
        var results: [Result<Int, HTTPClientError>] = []
        try onLoop(clock: .manual) { loop in
            let address = try server.listen(on: loop)
            let client = HTTPClient(on: loop)
            client.keepsConnection = true
            client.tls = { tls }
            var url = HTTPURL(address: address, target: "/a")
            if tls != nil { url.scheme = .https }
            func next() {
                client.post(url, body: Array("body".utf8)) { result in
                    results.append(result.map(\.status))
                    if results.count < count { return next() }
                    client.close()
                    server.stop()
                }
            }
            next()
        }
        return results
    }
}

/// Responds to each request on a connection with the connection's next text. After a text that is not a
/// complete response it advances the clock by 5 s.
private final class RawServer: StreamReader {
    /// An entry in a connection's texts: the server closes the connection after the text before it.
    static let close = "<close>"

    private(set) var connections = 0
    private(set) var received = ""
    private var texts: [[String]]
    private let tls: TLSContext?
    private var listener: Listener?
    private var links:
        [ObjectIdentifier: (stream: Stream, layers: LayeredStream, texts: [String])] =
            [:]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 16 << 10, alignment: 16)

    init(_ texts: [[String]], tls: TLSContext? = nil) {
        self.texts = texts
        self.tls = tls
    }

    deinit { buffer.deallocate() }

    func listen(on loop: Loop) throws -> SocketAddress {
        let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { [unowned self] in
            connections += 1
            let layers = LayeredStream(tls: tls.map { TLSSession($0) })
            let texts = self.texts.isEmpty ? [] : self.texts.removeFirst()
            links[ObjectIdentifier($0)] = ($0, layers, texts)
            $0.reader = self
            $0.startReading()
        }
        self.listener = listener
        return listener.address
    }

    func stop() {
        listener?.close()
        for link in links.values { link.stream.close() }
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        guard let link = links[ObjectIdentifier(stream)] else { return }
        // A client that does not trust the certificate closes the connection.
        guard (try? link.layers.receive(bytes)) != nil else { return stream.close() }
        let plain = String(decoding: link.layers.plain.bytes, as: UTF8.self)
        link.layers.plain.clear()
        received += plain
        if plain.contains("\r\n\r\n") { respond(stream, link.layers) }
        send(link.layers, stream)
    }

    func stream(_ stream: Stream, didEnd error: UVError?) { stream.close() }

    private func respond(_ stream: Stream, _ layers: LayeredStream) {
        let id = ObjectIdentifier(stream)
        guard links[id]?.texts.isEmpty == false, var text = links[id]?.texts.removeFirst() else {
            return
        }
        let isLast = text.hasSuffix(Self.close)
        if isLast { text.removeLast(Self.close.count) }
        Array(text.utf8).withUnsafeBytes { layers.send($0) }
        layers.flush()
        send(layers, stream)
        if isLast { stream.close() }
        if !isLast, !text.hasPrefix("HTTP/1.1 ") {
            stream.loop.runInNextIteration { stream.loop.advance(by: .seconds(5)) }
        }
    }

    private func send(_ layers: LayeredStream, _ stream: Stream) {
        guard !layers.wire.isEmpty else { return }
        _ = IOSlice.withSlice(of: layers.wire.bytes, stream.tryWrite)
        layers.wire.clear()
    }
}
