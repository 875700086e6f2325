import HTTP
import TestKit
import Testing
import UVLoop

/// Gives pieces as the test says.
private final class TestSource: HTTPBodySource {
    var pieces: [HTTPPiece] = []
    private(set) var body: HTTPBodyStream?
    private(set) var asked = 0
    var onStart: () -> Void = {}
    var onEnd: () -> Void = {}

    init(_ texts: [String] = []) {
        pieces = texts.map { HTTPPiece($0.utf8) }
    }

    func bodyStarts(_ body: HTTPBodyStream) {
        self.body = body
        onStart()
    }

    func nextPiece() -> HTTPPiece? {
        asked += 1
        return pieces.isEmpty ? nil : pieces.removeFirst()
    }

    func bodyEnded() {
        body = nil
        onEnd()
    }
}

@Suite struct `An answer that goes on` {
    private let service = TestService()
    private let source = TestSource()
    private let head = HTTPResponse(status: 200, headers: [("Content-Type", "text/plain")])

    /// Serves the source until the client has heard `text`, and then stops the server.
    private func heard(of request: String, until text: String) throws -> String {
        var heard = ""
        service.plan = { [source, head] _ in .stream(head, source) }
        try onLoop { loop in
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            let listener = Listening(until: text) {
                server.stop { withExtendedLifetime(server) {} }
            } whenEnded: {
                heard = $0
            }
            Stream.connect(to: address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                stream.reader = listener
                stream.startReading()
                stream.send(request)
            }
        }
        return heard
    }

    @Test func `goes out in chunks as it comes, and ends with the server`() throws {
        source.pieces = [HTTPPiece("one".utf8)]
        let loops = Later()
        source.onStart = { [source] in
            loops.later(on: source.body!) {
                source.pieces += [HTTPPiece("and two".utf8), HTTPPiece("three".utf8)]
                source.body?.resume()
            }
        }
        var ends = 0
        source.onEnd = { ends += 1 }
        let heard = try heard(of: get("/"), until: "three")
        #expect(
            heard == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                + "3\r\none\r\n7\r\nand two\r\n5\r\nthree\r\n0\r\n\r\n")
        #expect(ends == 1)
    }

    @Test func `goes out as it is to a client of HTTP 1.0, until the connection's end`() throws {
        source.pieces = [HTTPPiece("one".utf8), HTTPPiece("two".utf8)]
        let heard = try heard(of: "GET / HTTP/1.0\r\n\r\n", until: "two")
        #expect(heard == "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nonetwo")
    }

    @Test func `has no body for HEAD`() throws {
        service.plan = { [source, head] _ in .stream(head, source) }
        source.pieces = [HTTPPiece("one".utf8)]
        var ends = 0
        source.onEnd = { ends += 1 }
        let heard = try Talk.with(
            service, [.send("HEAD / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")])
        #expect(heard.hasSuffix("Content-Length: 0\r\nConnection: close\r\n\r\n"))
        #expect(source.asked == 0)
        #expect(ends == 1)
    }

    @Test func `ends when the client leaves`() throws {
        source.pieces = [HTTPPiece("one".utf8)]
        service.plan = { [source, head] _ in .stream(head, source) }
        var ends = 0
        source.onEnd = { ends += 1 }
        // What comes behind the request is nobody's.
        let heard = try Talk.with(service, [.send(get("/") + get("/b")), .expect("one"), .end])
        #expect(heard.count(of: "HTTP/1.1") == 1)
        #expect(ends == 1)
    }

    @Test func `asks for no more than the client takes, and shares what it has`() throws {
        let piece = HTTPPiece([UInt8](repeating: 0x78, count: 100_000))
        let many = 1_000
        source.pieces = [HTTPPiece](repeating: piece, count: many)
        service.plan = { [source, head] _ in .stream(head, source) }
        var bytes = 0
        var isOver = false
        try onLoop { loop in
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            var reader: SlowReader?
            reader = SlowReader { count in
                bytes += count
                // Every piece and the frame of its chunk.
                guard bytes >= many * 100_009, !isOver else { return }
                isOver = true
                server.stop { withExtendedLifetime((server, reader)) {} }
            } onEnd: {
            }
            Stream.connect(to: address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                stream.reader = reader
                stream.send(get("/"))
                whenStill({ source.asked }, on: loop) { [source] in
                    // The kernel's buffers hold some megabytes.
                    #expect(source.asked < many / 4)
                    stream.startReading()
                }
            }
        }
        #expect(source.pieces.isEmpty)
    }
}

/// Calls back when the count has moved and then stood still for 20 ms.
private func whenStill(_ count: @escaping () -> Int, on loop: Loop, _ body: @escaping () -> Void) {
    var last = 0
    let timer = Timer(on: loop)
    timer.start(after: .milliseconds(20), repeating: .milliseconds(20)) {
        defer { last = count() }
        guard last > 0, count() == last else { return }
        timer.close()
        body()
    }
}

/// Runs a body on a later turn of the loop that a stream is on.
private final class Later: EndOfTurnParticipant {
    private var body: () -> Void = {}

    func later(on stream: HTTPBodyStream, _ body: @escaping () -> Void) {
        self.body = body
        stream.loop.atEndOfTurn(self)
    }

    func turnEnds() { body() }
}

/// Collects what comes, and says when it holds a text and when it is over.
private final class Listening: StreamReader {
    private let text: String
    private var whenHeard: (() -> Void)?
    private let whenEnded: (String) -> Void
    private var heard: [UInt8] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    init(
        until text: String, _ whenHeard: @escaping () -> Void,
        whenEnded: @escaping (String) -> Void
    ) {
        self.text = text
        self.whenHeard = whenHeard
        self.whenEnded = whenEnded
    }

    deinit { buffer.deallocate() }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        heard += bytes
        guard let body = whenHeard, String(decoding: heard, as: UTF8.self).contains(text) else {
            return
        }
        whenHeard = nil
        body()
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        stream.close()
        whenEnded(Talk.withoutDates(heard))
    }
}
