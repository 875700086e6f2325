import HTTP
import TestKit
import Testing
import Transport
import UVLoop

@Suite(.timeLimit(.minutes(5))) struct `A session of requests` {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"

    @Test func `keeps its connection from one request to the next`() throws {
        let server = RawServer([[Self.ok, Self.ok, "HTTP/1.1 204 No Content\r\n\r\n"]])
        let results = try post(3, to: server)
        #expect(results == [.success(200), .success(200), .success(204)])
        #expect(server.connections == 1)
        #expect(server.heard.hasPrefix("POST /a HTTP/1.1\r\nHost: 127.0.0.1:"))
        #expect(server.heard.contains("Content-Length: 4\r\n\r\nbody"))
    }

    @Test func `makes a new connection if the server does not keep the old one`() throws {
        let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        let server = RawServer([[closing], [Self.ok]])
        #expect(try post(2, to: server) == [.success(200), .success(200)])
        #expect(server.connections == 2)
    }

    @Test func `makes a request once more that a kept connection was closed under`() throws {
        let server = RawServer([[Self.ok, RawServer.hangUp], [Self.ok]])
        #expect(try post(2, to: server) == [.success(200), .success(200)])
        #expect(server.connections == 2)
    }

    @Test func `fails if a new connection is closed without an answer`() throws {
        let server = RawServer([[RawServer.hangUp], [Self.ok]])
        #expect(try post(1, to: server) == [.failure(.answerMalformed)])
        #expect(server.connections == 1)
    }

    @Test func `takes an answer that ends with the connection, and any status`() throws {
        let server = RawServer([["HTTP/1.0 503 Busy\r\n\r\nlater", RawServer.hangUp]])
        #expect(try post(1, to: server) == [.failure(.requestTimedOut)])
        let closing = RawServer([["HTTP/1.0 503 Busy\r\n\r\nlater" + RawServer.hangUp]])
        #expect(try post(1, to: closing) == [.success(503)])
    }

    @Test func `does not wait for ever, and goes on after that`() throws {
        let server = RawServer([[""], [Self.ok]])
        #expect(try post(2, to: server) == [.failure(.requestTimedOut), .success(200)])
    }

    @Test func `is over TLS with a server that an authority vouches for`() throws {
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
                guard case .failure(.notSecured) = results.first else {
                    Issue.record("\(results)")
                    continue
                }
                #expect(server.heard.isEmpty)
            }
        }
    }

    /// Posts so often, one after the other.
    private func post(
        _ count: Int, to server: RawServer, tls: TLSContext? = nil
    ) throws -> [Result<Int, HTTPClientError>] {
        var results: [Result<Int, HTTPClientError>] = []
        try onLoop { loop in
            let address = try server.listen(on: loop)
            let session = HTTPSession(with: address, tls: tls, on: loop)
            session.requestTimeout = .milliseconds(100)
            let url = HTTPURL(address: address, target: "/a")
            func next() {
                session.post(url, body: Array("body".utf8)) { result in
                    results.append(result)
                    if results.count < count { return next() }
                    session.close()
                    server.stop()
                }
            }
            next()
        }
        return results
    }
}

/// Answers each request on a connection with the next of that connection's texts.
private final class RawServer: StreamReader {
    /// Closes the connection where it stands in a text.
    static let hangUp = "<hang up>"

    private(set) var connections = 0
    private(set) var heard = ""
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
        // A client that is not trusting says so and hangs up.
        guard (try? link.layers.receive(bytes)) != nil else { return stream.close() }
        let plain = String(decoding: link.layers.plain.bytes, as: UTF8.self)
        link.layers.plain.clear()
        heard += plain
        if plain.contains("\r\n\r\n") { answer(stream, link.layers) }
        send(link.layers, stream)
    }

    func stream(_ stream: Stream, didEnd error: UVError?) { stream.close() }

    private func answer(_ stream: Stream, _ layers: LayeredStream) {
        let id = ObjectIdentifier(stream)
        guard links[id]?.texts.isEmpty == false, var text = links[id]?.texts.removeFirst() else {
            return
        }
        let isLast = text.hasSuffix(Self.hangUp)
        if isLast { text.removeLast(Self.hangUp.count) }
        Array(text.utf8).withUnsafeBytes { layers.send($0) }
        layers.flush()
        send(layers, stream)
        if isLast { stream.close() }
    }

    private func send(_ layers: LayeredStream, _ stream: Stream) {
        guard !layers.wire.isEmpty else { return }
        withUnsafePointer(to: IOSlice(layers.wire.bytes)) { slice in
            _ = stream.tryWrite(UnsafeBufferPointer(start: slice, count: 1))
        }
        layers.wire.clear()
    }
}
