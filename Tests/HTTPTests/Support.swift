import Dispatch
import HTTP
import Testing
import UVLoop

/// A service of closures, which records its requests.
final class TestService: HTTPService {
    var plan: (HTTPRequest) -> HTTPBodyPlan = { _ in
        .collect(limit: 1 << 20, tooLarge: HTTPResponse(status: 413))
    }
    /// By default the response is the path, followed by the body.
    var respond: (HTTPRequest, @escaping (HTTPResponse) -> Void) -> Void = { request, respond in
        respond(HTTPResponse(status: 200, body: Array(request.target.path.utf8) + request.body))
    }
    private(set) var requests: [HTTPRequest] = []

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan { plan(request) }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        requests.append(request)
        self.respond(request, respond)
    }
}

/// A step of a client.
enum Step {
    case send([UInt8])
    /// Waits until the received text contains this.
    case expect(String)
    /// Shuts down the write side.
    case end

    static func send(_ text: String) -> Step { .send(Array(text.utf8)) }
}

/// A client's conversation with a server on the same loop. Each text is sent in a loop iteration of its
/// own, so that the server reads it before the next one.
final class Conversation: StreamReader {
    private let loop: Loop
    private var steps: ArraySlice<Step>
    private var stream: Stream?
    private var writer: StreamWriter?
    private var received: [UInt8] = []
    private let done: () -> Void
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    private init(_ steps: [Step], on loop: Loop, _ done: @escaping () -> Void) {
        self.steps = steps[...]
        self.loop = loop
        self.done = done
    }

    deinit { buffer.deallocate() }

    /// Runs the steps until the server closes the connection.
    ///
    /// - Returns: all that the server sent, without its dates.
    static func with(
        _ service: TestService, _ steps: [Step],
        _ location: SourceLocation = #_sourceLocation
    ) throws -> String {
        var received = ""
        try onLoop({ try start(on: $0, with: service, steps) { received = $0 } }, location)
        return received
    }

    static func start(
        on loop: Loop, with service: TestService, _ steps: [Step],
        _ done: @escaping (String) -> Void
    ) throws {
        let server = HTTPServer(serving: service, on: loop)
        let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
        var conversation: Conversation?
        conversation = Conversation(steps, on: loop) {
            done(conversation!.text)
            conversation = nil
            server.stop { withExtendedLifetime((server, service)) {} }
        }
        Stream.connect(to: address, on: loop) { result in
            guard let stream = try? result.get() else { return }
            conversation?.begin(on: stream)
        }
    }

    private func begin(on stream: Stream) {
        self.stream = stream
        writer = StreamWriter(stream) { [weak self] _ in self?.continueInNextIteration() }
        stream.reader = self
        stream.startReading()
        runNextStep()
    }

    private func runNextStep() {
        switch steps.first {
        case nil: return
        case .send(let bytes):
            steps.removeFirst()
            writer?.buffer += bytes
            if writer?.flush() != .queued { continueInNextIteration() }
        case .end:
            steps.removeFirst()
            stream?.shutdown { _ in self.continueInNextIteration() }
        case .expect(let text):
            guard self.text.contains(text) else { return }
            steps.removeFirst()
            runNextStep()
        }
    }

    private func continueInNextIteration() {
        loop.runInNextIteration { self.runNextStep() }
    }

    private var text: String { Self.withoutDates(received) }

    static func withoutDates(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self)
            .split(separator: "\r\n", omittingEmptySubsequences: false)
            .filter { !$0.hasPrefix("Date: ") }.joined(separator: "\r\n")
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        received += bytes
        if case .expect = steps.first { runNextStep() }
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        stream.close()
        self.stream = nil
        writer = nil
        steps = []
        done()
    }
}

/// Calls `body` with a new loop, and runs the loop until no work is left.
func onLoop(
    clock: Loop.Clock = .system, _ body: (Loop) throws -> Void,
    _ location: SourceLocation = #_sourceLocation
) throws {
    let loop = try Loop(clock: clock)
    defer { loop.close() }
    try body(loop)
    let mailbox = loop.mailbox
    let watchdog = DispatchWorkItem {
        mailbox.submit { loop in
            Issue.record("the loop did not end within 300 s", sourceLocation: location)
            loop.stop()
        }
    }
    DispatchQueue.global().asyncAfter(deadline: .now() + 300, execute: watchdog)
    defer { watchdog.cancel() }
    loop.run()
}

/// A `GET` request; the last one of a conversation asks the server to close the connection.
func get(_ target: String, close: Bool = false) -> String {
    "GET \(target) HTTP/1.1\r\nHost: test\r\n\(close ? "Connection: close\r\n" : "")\r\n"
}

func post(_ target: String, _ body: String, close: Bool = false) -> String {
    "POST \(target) HTTP/1.1\r\nHost: test\r\nContent-Length: \(body.utf8.count)\r\n"
        + "\(close ? "Connection: close\r\n" : "")\r\n\(body)"
}

/// A response of the test service.
func answer(_ body: String, close: Bool = false) -> String {
    "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n"
        + "\(close ? "Connection: close\r\n" : "")\r\n\(body)"
}

extension String {
    /// The number of occurrences of `part`.
    func count(of part: String) -> Int {
        ranges(of: part).count
    }
}

/// Sends one text, and collects the received text until the end.
final class Client: StreamReader {
    private let loop: Loop
    private let address: SocketAddress
    private let text: String
    private let done: (String) -> Void
    private var received: [UInt8] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    init(
        _ loop: Loop, _ address: SocketAddress, _ text: String, _ done: @escaping (String) -> Void
    ) {
        self.loop = loop
        self.address = address
        self.text = text
        self.done = done
    }

    deinit { buffer.deallocate() }

    /// Connects now, and sends after `delay`.
    func start(after delay: Duration) {
        Stream.connect(to: address, on: loop) { result in
            guard let stream = try? result.get() else { return self.done("refused") }
            stream.reader = self
            stream.startReading()
            let timer = Timer(on: self.loop)
            timer.start(after: delay) {
                timer.close()
                if !self.text.isEmpty { stream.send(self.text) }
            }
        }
    }

    /// Connects and sends now, without a timer of the loop's clock.
    func startAtOnce() {
        Stream.connect(to: address, on: loop) { result in
            guard let stream = try? result.get() else { return self.done("refused") }
            stream.reader = self
            stream.startReading()
            stream.send(self.text)
        }
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) { received += bytes }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        stream.close()
        done(Conversation.withoutDates(received))
    }
}

/// Sends many requests, and reads nothing until the test starts reading.
final class SlowReader: StreamReader {
    private let onBytes: (Int) -> Void
    private let onEnd: () -> Void
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 256 << 10, alignment: 16)

    init(onBytes: @escaping (Int) -> Void, onEnd: @escaping () -> Void) {
        self.onBytes = onBytes
        self.onEnd = onEnd
    }

    deinit { buffer.deallocate() }

    /// Sends `count` requests and one that asks the server to close the connection.
    func send(_ text: String, count: Int, on stream: Stream) {
        let all = String(repeating: text, count: count) + get("/", close: true)
        let writer = StreamWriter(stream) { _ in }
        writer.buffer += all.utf8
        _ = writer.flush()
    }

    /// Calls `body` when the service has received no request for 20 ms.
    func whenStill(_ service: TestService, on loop: Loop, _ body: @escaping () -> Void) {
        var lastCount = 0
        let timer = Timer(on: loop)
        timer.start(after: .milliseconds(20), repeating: .milliseconds(20)) {
            let count = service.requests.count
            defer { lastCount = count }
            guard count > 0, count == lastCount else { return }
            timer.close()
            body()
        }
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) { onBytes(bytes.count) }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        stream.close()
        onEnd()
    }
}

extension Stream {
    /// Writes a text that the socket buffer must accept at once.
    func send(_ text: String) {
        Array(text.utf8).withUnsafeBytes { bytes in
            #expect(IOSlice.withSlice(of: bytes, tryWrite) == .wrote(bytes.count))
        }
    }
}
