import HTTP
import Testing
import UVLoop

/// A service of closures, which notes what it was asked.
final class TestService: HTTPService {
    var plan: (HTTPRequest) -> HTTPBodyPlan = { _ in
        .collect(limit: 1 << 20, tooLarge: HTTPResponse(status: 413))
    }
    /// Says the path, and the body behind it.
    var respond: (HTTPRequest, @escaping (HTTPResponse) -> Void) -> Void = { request, respond in
        respond(HTTPResponse(status: 200, body: Array(request.target.path.utf8) + request.body))
    }
    private(set) var requests: [HTTPRequest] = []

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan { plan(request) }

    func answer(_ request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        requests.append(request)
        self.respond(request, respond)
    }
}

/// What a client does, one after the other.
enum Step {
    case send([UInt8])
    /// Goes on when all that came so far holds this.
    case expect(String)
    /// Sends no more.
    case end

    static func send(_ text: String) -> Step { .send(Array(text.utf8)) }
}

/// One client's talk with a server, on one loop with it. Each piece is sent in a turn of its own,
/// so that the server reads it before the next one comes.
final class Talk: StreamReader {
    private let loop: Loop
    private var steps: ArraySlice<Step>
    private var stream: Stream?
    private var heard: [UInt8] = []
    private let done: () -> Void
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    private init(_ steps: [Step], on loop: Loop, _ done: @escaping () -> Void) {
        self.steps = steps[...]
        self.loop = loop
        self.done = done
    }

    deinit { buffer.deallocate() }

    /// Talks until the server hangs up.
    ///
    /// - Returns: all that the server said, without its dates.
    static func with(
        _ service: TestService, _ steps: [Step],
        _ location: SourceLocation = #_sourceLocation
    ) throws -> String {
        var heard = ""
        try onLoop({ try start(on: $0, with: service, steps) { heard = $0 } }, location)
        return heard
    }

    static func start(
        on loop: Loop, with service: TestService, _ steps: [Step],
        _ done: @escaping (String) -> Void
    ) throws {
        let server = HTTPServer(serving: service, on: loop)
        let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
        var talk: Talk?
        talk = Talk(steps, on: loop) {
            done(talk!.text)
            talk = nil
            server.stop { withExtendedLifetime((server, service)) {} }
        }
        Stream.connect(to: address, on: loop) { result in
            guard let stream = try? result.get() else { return }
            talk?.begin(on: stream)
        }
    }

    private func begin(on stream: Stream) {
        self.stream = stream
        stream.reader = self
        stream.startReading()
        goOn()
    }

    private func goOn() {
        switch steps.first {
        case nil: return
        case .send(let bytes):
            steps.removeFirst()
            let memory = UnsafeMutableRawBufferPointer.allocate(
                byteCount: bytes.count, alignment: 1)
            memory.copyBytes(from: bytes)
            withUnsafePointer(to: IOSlice(UnsafeRawBufferPointer(memory))) { slice in
                stream?.write(UnsafeBufferPointer(start: slice, count: 1)) { _ in
                    memory.deallocate()
                    self.nextTurn()
                }
            }
        case .end:
            steps.removeFirst()
            stream?.shutdown { _ in self.nextTurn() }
        case .expect(let text):
            guard self.text.contains(text) else { return }
            steps.removeFirst()
            goOn()
        }
    }

    private func nextTurn() {
        let timer = Timer(on: loop)
        timer.start(after: .zero) {
            timer.close()
            self.goOn()
        }
    }

    private var text: String { Self.withoutDates(heard) }

    static func withoutDates(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self)
            .split(separator: "\r\n", omittingEmptySubsequences: false)
            .filter { !$0.hasPrefix("Date: ") }.joined(separator: "\r\n")
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        heard += bytes
        if case .expect = steps.first { goOn() }
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        stream.close()
        self.stream = nil
        steps = []
        done()
    }
}

/// Runs a scene on a loop of its own until nothing is left to do.
func onLoop(
    within limit: Duration = .seconds(30), _ scene: (Loop) throws -> Void,
    _ location: SourceLocation = #_sourceLocation
) throws {
    let loop = try Loop()
    defer { loop.close() }
    try scene(loop)
    let guardian = Timer(on: loop)
    guardian.start(after: limit) {
        Issue.record("the scene did not end within \(limit)", sourceLocation: location)
        loop.stop()
    }
    guardian.keepsLoopRunning = false
    loop.run()
}

/// `GET` of a path; the last one of a talk asks to close.
func get(_ target: String, close: Bool = false) -> String {
    "GET \(target) HTTP/1.1\r\nHost: test\r\n\(close ? "Connection: close\r\n" : "")\r\n"
}

func post(_ target: String, _ body: String, close: Bool = false) -> String {
    "POST \(target) HTTP/1.1\r\nHost: test\r\nContent-Length: \(body.utf8.count)\r\n"
        + "\(close ? "Connection: close\r\n" : "")\r\n\(body)"
}

/// An answer of the test service.
func answer(_ body: String, close: Bool = false) -> String {
    "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n"
        + "\(close ? "Connection: close\r\n" : "")\r\n\(body)"
}

extension String {
    /// How often `part` occurs.
    func count(of part: String) -> Int {
        ranges(of: part).count
    }
}

/// Calls back on a later turn.
final class Bell {
    var loop: Loop?

    func later(_ body: @escaping () -> Void) {
        let timer = Timer(on: loop!)
        timer.start(after: .zero) {
            timer.close()
            body()
        }
    }
}

/// Sends one text, and collects what comes until the end.
final class Client: StreamReader {
    private let loop: Loop
    private let address: SocketAddress
    private let text: String
    private let done: (String) -> Void
    private var heard: [UInt8] = []
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

    /// Connects now, and sends after a while.
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

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) { heard += bytes }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        stream.close()
        done(Talk.withoutDates(heard))
    }
}

/// Sends many requests and reads nothing until it is told to.
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

    /// Behind the many, one that asks to close.
    func send(_ text: String, count: Int, on stream: Stream) {
        let all = String(repeating: text, count: count) + get("/", close: true)
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: all.utf8.count, alignment: 1)
        memory.copyBytes(from: all.utf8)
        withUnsafePointer(to: IOSlice(UnsafeRawBufferPointer(memory))) { slice in
            stream.write(UnsafeBufferPointer(start: slice, count: 1)) { _ in memory.deallocate() }
        }
    }

    /// Calls back when the service was asked nothing for 20 ms.
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
    /// Writes at once what must fit at once.
    func send(_ text: String) {
        Array(text.utf8).withUnsafeBytes { bytes in
            withUnsafePointer(to: IOSlice(bytes)) { slice in
                let outcome = tryWrite(UnsafeBufferPointer(start: slice, count: 1))
                #expect(outcome == .wrote(bytes.count))
            }
        }
    }
}
