import HTTP
import TestKit
import Testing
import UVLoop

@Suite struct `An HTTP client` {
    typealias Outcome = Result<HTTPAnswer, HTTPClientError>

    /// Asks a server that says `bytes`, whatever it is asked, piece by piece, and then closes or
    /// goes on waiting.
    private func ask(
        answering pieces: [String], closing: Bool = true,
        _ prepare: (inout HTTPClient) -> Void = { _ in }
    ) throws -> Outcome? {
        var outcome: Outcome?
        try onLoop { loop in
            let server = ScriptedServer(pieces, closing: closing)
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

    @Test func `gets and posts`() throws {
        let service = TestService()
        var answers: [HTTPAnswer] = []
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
    func `reads every form of an answer, however it is split`(text: String) throws {
        for pieces in [[text], text.utf8.map { String(UnicodeScalar($0)) }] {
            let answer = try ask(answering: pieces)?.get()
            #expect(answer?.status == 200)
            #expect(answer.map { String(decoding: $0.body, as: UTF8.self) } == "body")
        }
    }

    @Test(arguments: ["", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo"])
    func `does not take for an answer what is none`(text: String) throws {
        let outcome = try ask(answering: [text])
        #expect(throws: HTTPClientError.answerMalformed) { try outcome?.get() }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n",
        "HTTP/1.0 200 OK\r\n\r\n12345678901",
    ])
    func `does not take more than it has to`(text: String) throws {
        let outcome = try ask(answering: [text], closing: false) { $0.maxAnswerBytes = 10 }
        #expect(throws: HTTPClientError.answerTooLarge(limit: 10)) { try outcome?.get() }
    }

    @Test func `does not wait for ever`() throws {
        let outcome = try ask(answering: ["HTTP/1.1 200 OK\r\n"], closing: false) {
            $0.requestTimeout = .milliseconds(10)
        }
        #expect(throws: HTTPClientError.requestTimedOut) { try outcome?.get() }
    }

    @Test func `tells when nobody listens`() throws {
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

    @Test func `says nothing any more when it is cancelled`() throws {
        try onLoop { loop in
            let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { $0.close() }
            let url = HTTPURL(address: listener.address, target: "/")
            let call = HTTPClient(on: loop).get(url) { _ in
                Issue.record("it was to be silent")
            }
            call.cancel()
            listener.close()
        }
    }
}

/// Says what it is told to, one piece a turn, as soon as it is asked something.
private final class ScriptedServer: StreamReader {
    private var pieces: ArraySlice<String>
    private let closing: Bool
    private var streams: [Stream] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    init(_ pieces: [String], closing: Bool) {
        self.pieces = pieces[...]
        self.closing = closing
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
        sayNext(on: stream)
    }

    func stream(_ stream: Stream, didEnd error: UVError?) { stream.close() }

    private func sayNext(on stream: Stream) {
        guard let piece = pieces.popFirst() else {
            if closing { stream.close() }
            return
        }
        if !piece.isEmpty { stream.send(piece) }
        let bell = Bell()
        bell.loop = stream.loop
        bell.later { self.sayNext(on: stream) }
    }
}
