import HTTP
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `An HTTP client` {
    typealias Outcome = Result<HTTPClientResponse, HTTPClientError>

    /// Sends a request to a server that responds with `pieces`, and then closes the connection,
    /// waits, or advances the clock by the request timeout.
    private func get(
        responding pieces: [String], then end: ScriptedServer.End = .close,
        _ prepare: (inout HTTPClient) -> Void = { _ in }
    ) throws -> Outcome? {
        var outcome: Outcome?
        try onLoop(clock: .manual) { loop in
            let server = ScriptedServer(pieces, then: end)
            let listener = try Listener(
                on: loop, host: "127.0.0.1", port: 0, onConnection: server.serve)
            var client = HTTPClient(on: loop)
            prepare(&client)
            client.get(HTTPURL(address: listener.address, target: "/")) { result in
                outcome = result
                listener.close()
                server.stop()
            }
        }
        return outcome
    }

    @Test func `sends GET and POST requests`() throws {
        let service = TestService()
        var answers: [HTTPClientResponse] = []
        try onLoop { loop in
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            let client = HTTPClient(on: loop)
            let url = HTTPURL(address: address, target: "/a?b=c")
            client.get(url, headers: [("Accept", "x/y")]) { result in
                if let answer = try? result.get() { answers.append(answer) }
                client.post(url, body: Array("body".utf8)) { result in
                    if let answer = try? result.get() { answers.append(answer) }
                    server.stop { withExtendedLifetime(server) {} }
                }
            }
        }
        #expect(answers.map(\.status) == [200, 200])
        #expect(answers.map { String(decoding: $0.body, as: UTF8.self) } == ["/a", "/abody"])
        #expect(service.requests.first?.headers["accept"] == "x/y")
        #expect(service.requests.map(\.target.query) == ["b=c", "b=c"])
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nbody",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    ])
    func `reads every form of a response, however it is split`(text: String) throws {
        for pieces in [[text], text.utf8.map { String(UnicodeScalar($0)) }] {
            let answer = try get(responding: pieces)?.get()
            #expect(answer?.status == 200)
            #expect(answer.map { String(decoding: $0.body, as: UTF8.self) } == "body")
        }
    }

    @Test(arguments: ["", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo"])
    func `rejects an invalid or incomplete response`(text: String) throws {
        let outcome = try get(responding: [text])
        #expect(throws: HTTPClientError.malformedResponse) { try outcome?.get() }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n",
        "HTTP/1.0 200 OK\r\n\r\n12345678901",
    ])
    func `rejects a body that exceeds its limit`(text: String) throws {
        let outcome = try get(responding: [text], then: .wait) { $0.maxBodyBytes = 10 }
        #expect(throws: HTTPClientError.responseTooLarge(limit: 10)) { try outcome?.get() }
    }

    @Test func `times out when the response is not complete after 5 s`() throws {
        let outcome = try get(responding: ["HTTP/1.1 200 OK\r\n"], then: .advanceClock)
        #expect(throws: HTTPClientError.requestTimedOut) { try outcome?.get() }
    }

    @Test func `reports a refused connection`() throws {
        var outcome: Outcome?
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { _ in }
            let url = HTTPURL(address: listener.address, target: "/")
            listener.close {
                HTTPClient(on: loop).get(url) { outcome = $0 }
            }
        }
        #expect(throws: HTTPClientError.connectionFailed(.connectionRefused)) {
            try outcome?.get()
        }
    }

    @Test(arguments: [
        ("a\r\nX: y", "/"), ("a b", "/"), ("host", "/a b"), ("host", "/a\r\nX: y"),
        ("host", "/\u{7F}"), ("host", "/\u{0}"),
    ])
    func `sends no request whose URL has a blank or a control character`(
        host: String, target: String
    ) throws {
        var outcome: Outcome?
        try onLoop { loop in
            let address = SocketAddress(host: host, port: 1)
            HTTPClient(on: loop).get(HTTPURL(address: address, target: target)) { outcome = $0 }
            #expect(outcome == nil)
        }
        #expect(throws: HTTPClientError.invalidURL) { try outcome?.get() }
    }

    @Test func `fails pending and later requests when it is closed`() throws {
        var outcomes: [Outcome] = []
        try onLoop { loop in
            let client = HTTPClient(on: loop)
            var streams: [Stream] = []
            var listener: Listener?
            listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { stream in
                streams.append(stream)
                guard streams.count == 1 else { return stream.close() }
                client.close()
                client.get(HTTPURL(address: listener!.address, target: "/")) { outcome in
                    outcomes.append(outcome)
                    stream.close()
                    listener?.close()
                }
            }
            let url = HTTPURL(address: listener!.address, target: "/")
            for _ in 0..<3 { client.get(url) { outcomes.append($0) } }
        }
        #expect(outcomes.count == 4)
        for outcome in outcomes {
            #expect(throws: HTTPClientError.connectionFailed(.canceled)) { try outcome.get() }
        }
    }

    @Test func `does not call its completion after a cancel`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { $0.close() }
            let url = HTTPURL(address: listener.address, target: "/")
            let call = HTTPClient(on: loop).get(url) { _ in
                Issue.record("a cancelled request completed")
            }
            call.cancel()
            listener.close()
        }
    }
}

/// Responds to the first bytes with its pieces, one per loop iteration.
private final class ScriptedServer: StreamReader {
    private var pieces: ArraySlice<String>
    private let end: End
    private var streams: [Stream] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    enum End { case close, wait, advanceClock }

    init(_ pieces: [String], then end: End) {
        self.pieces = pieces[...]
        self.end = end
    }

    deinit { buffer.deallocate() }

    func serve(_ stream: Stream) {
        streams.append(stream)
        stream.reader = self
        stream.startReading()
    }

    func stop() {
        for stream in streams { stream.close() }
    }

    func readBuffer(
        for stream: Stream, suggested: Int
    ) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        sendNext(on: stream)
    }

    func stream(_ stream: Stream, didEnd error: UVError?) { stream.close() }

    private func sendNext(on stream: Stream) {
        guard let piece = pieces.popFirst() else {
            switch end {
            case .close: stream.close()
            case .wait: break
            case .advanceClock: stream.loop.advance(by: .seconds(5))
            }
            return
        }
        if !piece.isEmpty { stream.send(piece) }
        stream.loop.runInNextIteration { self.sendNext(on: stream) }
    }
}
