import HTTP
import TestTraits
import Testing
import UVLoop

/// The clock of the loops is advanced by the tests, one second at a time.
@Suite(.blocking) struct `An HTTP server's deadlines` {
    let service = TestService()

    /// Sends `text` to a server, and advances the clock until the server closes the connection.
    ///
    /// - Parameters:
    ///   - more: bytes that are sent in each further second.
    ///   - change: changes the server's timeouts.
    ///   - end: runs when the clock is no longer advanced.
    /// - Returns: the seconds until the end, at most 600, and the received text.
    private func wait(
        after text: String, sending more: String = "",
        _ change: (inout HTTPTimeouts) -> Void = { _ in }, atEnd end: @escaping () -> Void = {}
    ) throws -> (seconds: Int, received: String) {
        var received: String?
        var seconds = 0
        try onLoop(clock: .manual) { loop in
            let server = HTTPServer(serving: service, on: loop)
            change(&server.timeouts)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            let client = SecondByte(on: loop, to: address, text) { received = $0 }
            // Each pass of the loop transfers what was sent in the second before.
            func pass() {
                guard received == nil, seconds < 600 else {
                    end()
                    client.close()
                    return server.stop { withExtendedLifetime(server) {} }
                }
                if client.isIdle {
                    seconds += 1
                    loop.advance(by: .seconds(1))
                    client.send(more)
                }
                loop.runInNextIteration(pass)
            }
            loop.runInNextIteration(pass)
        }
        return (seconds, received ?? "none")
    }

    private static let late = "HTTP/1.1 408 Request Timeout\r\n"

    @Test func `close a connection that sends nothing`() throws {
        let (seconds, received) = try wait(after: "")
        #expect((120...122).contains(seconds))
        #expect(received == "")
    }

    @Test func `close a connection between two requests`() throws {
        let (seconds, received) = try wait(after: get("/a")) { $0.idle = .seconds(7) }
        #expect((7...9).contains(seconds))
        #expect(received == answer("/a"))
    }

    @Test func `end a head that is not complete, however often its client sends`() throws {
        let (seconds, received) = try wait(after: "GET /a HTTP/1.1\r\n", sending: "X: y\r\n")
        #expect((30...31).contains(seconds))
        #expect(received.hasPrefix(Self.late))
        #expect(service.requests.isEmpty)
    }

    @Test func `end a body that arrives too slowly, and no faster one`() throws {
        let head = "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 2048\r\n\r\n"
        let change: (inout HTTPTimeouts) -> Void = {
            $0.body = .seconds(5)
            $0.minBodyRate = 10
        }
        let half = try wait(after: head + "half", change)
        #expect((5...6).contains(half.seconds))
        #expect(half.received.hasPrefix(Self.late))
        #expect(service.requests.isEmpty)
        // 9 bytes per second reach the limit of 5 s + bytes/10 s after 41 s or 50 s.
        let slow = try wait(after: head, sending: String(repeating: "x", count: 9), change)
        #expect((38...52).contains(slow.seconds))
        #expect(slow.received.hasPrefix(Self.late))
        let fast = try wait(after: head, sending: String(repeating: "x", count: 32)) {
            change(&$0)
            $0.idle = .seconds(1)
        }
        #expect(fast.received.hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func `do not concern a request that the service processes for long`() throws {
        var respond: ((HTTPResponse) -> Void)?
        service.respond = { respond = $1 }
        let (seconds, received) = try wait(
            after: get("/a"), atEnd: { respond?(HTTPResponse(status: 200)) })
        #expect(seconds == 600)
        #expect(received == "none")
    }
}

/// A client that sends a text at once, and further texts when the test tells it to.
private final class SecondByte: StreamReader {
    private var stream: Stream?
    private var received: [UInt8] = []
    private let done: (String) -> Void
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
    private let loop: Loop
    /// The iteration in which the client last sent or received.
    private var lastIteration = 0

    init(
        on loop: Loop, to address: SocketAddress, _ text: String, _ done: @escaping (String) -> Void
    ) {
        self.loop = loop
        self.done = done
        Stream.connect(to: address, on: loop) { [self] result in
            guard let stream = try? result.get() else { return }
            self.stream = stream
            stream.reader = self
            stream.startReading()
            send(text)
        }
    }

    deinit { buffer.deallocate() }

    /// `true` if the server has had time to process all that was sent.
    var isIdle: Bool { stream != nil && loop.iteration > lastIteration + 8 }

    func send(_ text: String) {
        guard let stream, !stream.isClosing, !text.isEmpty else { return }
        lastIteration = loop.iteration
        _ = Array(text.utf8).withUnsafeBytes { IOSlice.withSlice(of: $0, stream.tryWrite) }
    }

    func close() { stream?.close() }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        lastIteration = loop.iteration
        received += bytes
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        stream.close()
        done(Conversation.withoutDates(received))
    }
}
