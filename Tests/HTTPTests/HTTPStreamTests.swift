import Glibc
import HTTP
import TestKit
import TestTraits
import Testing
import UVLoop

/// Provides the chunks that the test adds.
private final class TestSource: HTTPResponseSource {
    var chunks: [HTTPChunk] = []
    private(set) var body: HTTPResponseStream?
    private(set) var callCount = 0
    var onStart: () -> Void = {}
    var onEnd: () -> Void = {}

    init(_ texts: [String] = []) {
        chunks = texts.map { HTTPChunk($0.utf8) }
    }

    func bodyDidStart(_ body: HTTPResponseStream) {
        self.body = body
        onStart()
    }

    func nextChunk() -> HTTPChunk? {
        callCount += 1
        return chunks.isEmpty ? nil : chunks.removeFirst()
    }

    func bodyDidEnd() {
        body = nil
        onEnd()
    }
}

@Suite(.blocking) struct `A streamed response` {
    private let service = TestService()
    private let source = TestSource()
    private let head = HTTPResponse(status: 200, headers: [("Content-Type", "text/plain")])

    /// Serves the source until the client has received `text`, and then stops the server.
    private func received(of request: String, until text: String) throws -> String {
        var received = ""
        service.plan = { [source, head] _ in .stream(head, source) }
        try onLoop { loop in
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            let listener = Listening(until: text) {
                server.stop { withExtendedLifetime(server) {} }
            } whenEnded: {
                received = $0
            }
            Stream.connect(to: address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                stream.reader = listener
                stream.startReading()
                stream.send(request)
            }
        }
        return received
    }

    @Test func `sends chunks as they are provided, and ends when the server stops`() throws {
        source.chunks = [HTTPChunk("one".utf8)]
        let loops = Later()
        source.onStart = { [source] in
            loops.later(on: source.body!) {
                source.chunks += [HTTPChunk("and two".utf8), HTTPChunk("three".utf8)]
                source.body?.resume()
            }
        }
        var ends = 0
        source.onEnd = { ends += 1 }
        let received = try received(of: get("/"), until: "three")
        #expect(
            received == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                + "3\r\none\r\n7\r\nand two\r\n5\r\nthree\r\n0\r\n\r\n")
        #expect(ends == 1)
    }

    @Test func `is not chunked for an HTTP/1.0 client, and ends with the connection`() throws {
        source.chunks = [HTTPChunk("one".utf8), HTTPChunk("two".utf8)]
        let received = try received(of: "GET / HTTP/1.0\r\n\r\n", until: "two")
        #expect(received == "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nonetwo")
    }

    @Test func `has no body for HEAD`() throws {
        service.plan = { [source, head] _ in .stream(head, source) }
        source.chunks = [HTTPChunk("one".utf8)]
        var ends = 0
        source.onEnd = { ends += 1 }
        let received = try Conversation.with(
            service, [.send("HEAD / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")])
        #expect(received.hasSuffix("Content-Length: 0\r\nConnection: close\r\n\r\n"))
        #expect(source.callCount == 0)
        #expect(ends == 1)
    }

    @Test func `ends when the client disconnects`() throws {
        source.chunks = [HTTPChunk("one".utf8)]
        service.plan = { [source, head] _ in .stream(head, source) }
        var ends = 0
        source.onEnd = { ends += 1 }
        // Bytes after the request are discarded.
        let received = try Conversation.with(
            service, [.send(get("/") + get("/b")), .expect("one"), .end])
        #expect(received.count(of: "HTTP/1.1") == 1)
        #expect(ends == 1)
    }

    @Test func `requests no more chunks than the client reads, and shares their memory`() throws {
        let piece = HTTPChunk([UInt8](repeating: 0x78, count: 100_000))
        let many = 1_000
        source.chunks = [HTTPChunk](repeating: piece, count: many)
        service.plan = { [source, head] _ in .stream(head, source) }
        var bytes = 0
        var isOver = false
        try onLoop { loop in
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            var reader: SlowReader?
            reader = SlowReader { count in
                bytes += count
                // Each chunk has 9 bytes of framing.
                guard bytes >= many * 100_009, !isOver else { return }
                isOver = true
                server.stop { withExtendedLifetime((server, reader)) {} }
            } onEnd: {
            }
            Stream.connect(to: address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                stream.reader = reader
                stream.send(get("/"))
                whenStill({ source.callCount }, on: loop) { [source] in
                    // The socket buffers hold several megabytes.
                    #expect(source.callCount < many / 4)
                    stream.startReading()
                }
            }
        }
        #expect(source.chunks.isEmpty)
    }
}

/// Calls `body` when the count is above zero and has not changed for 20 ms.
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

/// Runs a closure at the end of the iteration of a stream's loop.
private final class Later: IterationEndHandler {
    private var body: () -> Void = {}

    func later(on stream: HTTPResponseStream, _ body: @escaping () -> Void) {
        self.body = body
        stream.loop.callAtIterationEnd(self)
    }

    func handleIterationEnd() { body() }
}

/// Collects the received text, and calls closures when it contains a text and at the end.
private final class Listening: StreamReader {
    private let text: String
    private var onText: (() -> Void)?
    private let whenEnded: (String) -> Void
    private var received: [UInt8] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    init(
        until text: String, _ onText: @escaping () -> Void,
        whenEnded: @escaping (String) -> Void
    ) {
        self.text = text
        self.onText = onText
        self.whenEnded = whenEnded
    }

    deinit { buffer.deallocate() }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        received += bytes
        guard let body = onText, String(decoding: received, as: UTF8.self).contains(text) else {
            return
        }
        onText = nil
        body()
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        stream.close()
        whenEnded(Conversation.withoutDates(received))
    }
}

/// Provides chunks of one size, and records how many bytes have arrived at the client before each.
private final class MeasuringSource: HTTPResponseSource {
    private let chunk: HTTPChunk
    private var rest = 200
    private let arrivedBytes: () -> Int
    private(set) var arrived: [Int] = []

    init(chunkBytes: Int, arrivedBytes: @escaping () -> Int) {
        chunk = HTTPChunk([UInt8](repeating: 0x78, count: chunkBytes))
        self.arrivedBytes = arrivedBytes
    }

    func bodyDidStart(_ body: HTTPResponseStream) {}

    func nextChunk() -> HTTPChunk? {
        guard rest > 0 else { return nil }
        rest -= 1
        arrived.append(arrivedBytes())
        return chunk
    }

    func bodyDidEnd() {}
}

@Suite(.blocking) struct `A write of a streamed response` {
    /// One write ends with the chunk that reaches 64 KiB, or with the 64th chunk.
    @Test(arguments: [(10, 64), (10_000, 7), (65_536, 1)])
    func `gathers a bounded number of chunks and bytes`(chunkBytes: Int, count: Int) throws {
        let service = TestService()
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        let source = MeasuringSource(chunkBytes: chunkBytes) {
            var bytes: Int32 = 0
            _ = ioctl(client, UInt(FIONREAD), &bytes)
            return Int(bytes)
        }
        service.plan = { _ in .stream(HTTPResponse(status: 200), source) }
        try onLoop { loop in
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = UInt16(address.port).bigEndian
            name.sin_addr.s_addr = inet_addr(address.host)
            let status = withUnsafePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            #expect(status == 0)
            let request = Array("GET / HTTP/1.0\r\n\r\n".utf8)
            #expect(send(client, request, request.count, 0) == request.count)
            loop.onIterationEnd = { [weak loop] in
                guard source.arrived.count > count + 1 else { return }
                loop?.onIterationEnd = nil
                shutdown(client, Int32(SHUT_RDWR))
                server.stop { withExtendedLifetime(server) { loop?.stop() } }
            }
        }
        // The head was sent before the first chunk. The first write is sent after the source has
        // provided its last chunk.
        let first = source.arrived.firstIndex { $0 > source.arrived[0] }
        #expect(first == count)
    }
}
