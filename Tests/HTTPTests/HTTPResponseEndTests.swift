import HTTP
import TestKit
import TestTraits
import Testing
import UVLoop

/// A server sends the same bytes as the response to each of two requests.
///
/// - SeeAlso: RFC 9112, section 6.3.
@Suite(.blocking, .timeLimit(.minutes(5))) struct `The end of a response` {
    struct Case: Sendable, CustomTestStringConvertible {
        let text: String
        /// The status and the body; `nil` if the response is malformed.
        let result: String?
        /// `true` if the second request uses the connection of the first.
        var isReused = true
        /// `true` if the server closes the connection after each response.
        var closes = false

        var testDescription: String { text.debugDescription }
    }

    private static let ok = "HTTP/1.1 200 OK\r\n"
    private static let chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
    private static let body = "Content-Length: 4\r\n\r\nbody"

    private static let bodyless = [
        Case(text: "HTTP/1.1 204 No Content\r\n\r\n", result: "204 "),
        Case(text: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", result: "204 "),
        Case(text: "HTTP/1.1 204\r\nContent-Length: 99999999999\r\n\r\n", result: "204 "),
        Case(text: "HTTP/1.1 204\r\nTransfer-Encoding: chunked\r\n\r\n", result: "204 "),
        Case(text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", result: "304 "),
        Case(text: "HTTP/1.1 100 Continue\r\n\r\n\(ok)\(body)", result: "200 body"),
        Case(
            text: "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 102 P\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n\(ok)\(body)", result: "200 body"),
        Case(
            text: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            result: nil),
        Case(text: "HTTP/1.1 204\r\nConnection: close\r\n\r\n", result: "204 ", isReused: false),
        Case(text: "HTTP/1.0 204 No Content\r\n\r\n", result: "204 ", isReused: false),
    ]

    private static let encoded = [
        Case(text: chunked + "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n", result: "200 body"),
        Case(
            text: chunked + "02;x=\"y\"\r\nbo\r\n2\r\ndy\r\n000\r\nA: b\r\n\r\n", result: "200 body"
        ),
        Case(text: chunked + "0\r\n\r\n", result: "200 "),
        Case(
            text: ok
                + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            result: "200 body", isReused: false),
        Case(
            text: ok
                + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            result: "200 body", isReused: false),
        Case(
            text: ok + "Transfer-Encoding: x, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            result: "200 body"),
        Case(
            text: ok + "Transfer-Encoding: chunked, x\r\n\r\n4\r\n", result: "200 4\r\n",
            isReused: false, closes: true),
        Case(
            text: ok + "Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nbody",
            result: "200 body", isReused: false, closes: true),
        Case(
            text: ok + "Content-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\nbody",
            result: "200 body", isReused: false, closes: true),
        Case(text: chunked + "x\r\n\r\n", result: nil),
        Case(text: chunked + "-1\r\n\r\n", result: nil),
        Case(text: chunked + "+1\r\na\r\n0\r\n\r\n", result: nil),
        Case(text: chunked + "\r\n", result: nil),
        Case(text: chunked + "0x1\r\na\r\n0\r\n\r\n", result: nil),
        Case(text: chunked + "fffffffffffffffff\r\n", result: nil),
        Case(text: chunked + "4\r\nbo", result: nil, closes: true),
        Case(text: chunked + "4\r\nbody\r\n", result: nil, closes: true),
        Case(text: chunked + "4\r\nbody\r\n0\r\n", result: nil, closes: true),
    ]

    private static let lengths = [
        Case(text: ok + body, result: "200 body"),
        Case(text: ok + "Content-Length: 0\r\n\r\n", result: "200 "),
        Case(text: ok + "content-length:4 \r\n\r\nbody", result: "200 body"),
        Case(text: ok + "Content-Length: 4\r\n" + body, result: "200 body"),
        Case(text: ok + "Content-Length: 5\r\n" + body, result: nil),
        Case(text: ok + "Content-Length: 4, 5\r\n\r\nbody", result: nil),
        Case(text: ok + "Content-Length: -4\r\n\r\nbody", result: nil),
        Case(text: ok + "Content-Length: +4\r\n\r\nbody", result: nil),
        Case(text: ok + "Content-Length: 4 4\r\n\r\nbody", result: nil),
        Case(text: ok + "Content-Length: 0x4\r\n\r\nbody", result: nil),
        Case(text: ok + "Content-Length: four\r\n\r\nbody", result: nil),
        Case(text: ok + "Content-Length: 99999999999999999999\r\n\r\nbody", result: nil),
        Case(text: ok + "Content-Length: 4\r\n\r\nbo", result: nil, closes: true),
        Case(text: ok + "\r\nbody", result: "200 body", isReused: false, closes: true),
        Case(text: ok + "\r\n", result: "200 ", isReused: false, closes: true),
        Case(text: ok + "Connection: close\r\n" + body, result: "200 body", isReused: false),
        Case(text: "HTTP/1.0 200 OK\r\n" + body, result: "200 body", isReused: false),
        Case(text: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + body, result: "200 body"),
        Case(text: "HTTP/1.1 99 Low\r\n" + body, result: nil),
        Case(text: "HTTP/1.1 600 High\r\n" + body, result: nil),
    ]

    /// Bytes behind a response are never the response to the next request.
    private static let excess = [
        Case(
            text: "HTTP/1.1 204\r\nContent-Length: 5\r\n\r\nhello", result: "204 ", isReused: false),
        Case(
            text: ok + body + "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", result: "200 body",
            isReused: false),
        Case(text: ok + body + "!", result: "200 body", isReused: false),
        Case(text: chunked + "0\r\n\r\n\r\n", result: "200 ", isReused: false),
    ]

    @Test(arguments: bodyless + encoded + lengths + excess)
    func `is where RFC 9112 says, and the next request has its own response`(
        example: Case
    ) throws {
        var results: [String?] = []
        var connections = 0
        try onLoop { loop in
            let server = RepeatingServer(example.text, closes: example.closes)
            let listener = try Listener(
                on: loop, host: "127.0.0.1", port: 0, onConnection: server.serve)
            let url = HTTPURL(address: listener.address, target: "/")
            let client = HTTPClient(on: loop)
            client.keepsConnection = true
            client.requestTimeout = .seconds(60)
            client.get(url) { first in
                results.append(text(of: first))
                client.get(url) { second in
                    results.append(text(of: second))
                    connections = server.connections
                    client.close()
                    listener.close()
                    server.stop()
                }
            }
        }
        #expect(results == [example.result, example.result])
        let isReused = example.isReused && example.result != nil
        #expect(connections == (isReused ? 1 : 2))
    }

    @Test func `precedes no further bytes, because the client closes the connection`() throws {
        var results: [String?] = []
        try onLoop { loop in
            let response = Self.ok + Self.body
            let server = RepeatingServer(response, closes: false)
            let listener = try Listener(
                on: loop, host: "127.0.0.1", port: 0, onConnection: server.serve)
            let url = HTTPURL(address: listener.address, target: "/")
            let client = HTTPClient(on: loop)
            client.keepsConnection = true
            server.onEnd = {
                client.get(url) { second in
                    results.append(text(of: second))
                    client.close()
                    listener.close()
                    server.stop()
                }
            }
            client.get(url) { first in
                results.append(text(of: first))
                server.sendUnrequested("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            }
        }
        #expect(results == ["200 body", "200 body"])
    }
}

/// The status and the body; `nil` for a malformed response.
private func text(of result: Result<HTTPClientResponse, HTTPClientError>) -> String? {
    switch result {
    case .success(let response):
        "\(response.status) \(String(decoding: response.body, as: UTF8.self))"
    case .failure(.malformedResponse): nil
    case .failure(let error): "\(error)"
    }
}

/// Responds to each read, which contains one request, with the same bytes.
private final class RepeatingServer: StreamReader {
    private let response: String
    private let closes: Bool
    private var streams: [Stream] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
    /// Runs when the client closes a connection.
    var onEnd: () -> Void = {}

    init(_ response: String, closes: Bool) {
        self.response = response
        self.closes = closes
    }

    deinit { buffer.deallocate() }

    var connections: Int { streams.count }

    func serve(_ stream: Stream) {
        streams.append(stream)
        stream.reader = self
        stream.startReading()
    }

    func sendUnrequested(_ text: String) { streams.last?.send(text) }

    func stop() {
        onEnd = {}
        for stream in streams { stream.close() }
    }

    func readBuffer(
        for stream: Stream, suggested: Int
    ) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        stream.send(response)
        if closes { stream.close() }
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        stream.close()
        let onEnd = onEnd
        self.onEnd = {}
        onEnd()
    }
}
