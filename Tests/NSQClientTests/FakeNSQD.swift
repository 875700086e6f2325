import Dispatch
import NSQWire
import Testing
import UVLoop

/// An nsqd that follows a script. Commands that the script does not handle get nsqd's response.
final class FakeNSQD {
    private(set) var address = SocketAddress(host: "127.0.0.1", port: 0)
    private(set) var connections: [FakeConnection] = []
    private var listener: Listener?

    /// Receives every command first, and returns true if it has handled it.
    var script: (FakeConnection, Command, Bytes) -> Bool = { _, _, _ in false }
    var onConnection: (FakeConnection) -> Void = { _ in }
    var answer = IdentifyResponse(
        maxReadyCount: 2500, version: "1.3.0", maxMessageTimeout: 900_000, messageTimeout: 60_000,
        deflateLevel: 6, maxDeflateLevel: 6, sampleRate: 0, outputBufferSize: 16384,
        outputBufferTimeout: 250, topologyRegion: "", topologyZone: "")

    init(on loop: Loop, port: Int = 0) throws {
        let listener = try Listener(on: loop, host: "127.0.0.1", port: port) { [unowned self] in
            let connection = FakeConnection($0, of: self)
            connections.append(connection)
            onConnection(connection)
        }
        self.listener = listener
        address = listener.address
    }

    func close() {
        listener?.close()
        for connection in connections { connection.close() }
        // Releases the script, which often retains the owner of the nsqd.
        script = { _, _, _ in false }
        onConnection = { _ in }
    }
}

final class FakeConnection: StreamReader {
    let stream: Stream
    /// The received commands, without bodies.
    private(set) var commands: [Command] = []
    private(set) var bodies: [[UInt8]] = []
    private(set) var hasEnded = false
    /// Set by scripts: `true` after the script has refused a command.
    var hasRefused = false
    private unowned let nsqd: FakeNSQD
    private lazy var writer = StreamWriter(stream) { [weak self] error in
        if error == nil { self?.flush() }
    }
    private var kept: [UInt8] = []
    private var sawMagic = false
    private var nextID: UInt64 = 1
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

    init(_ stream: Stream, of nsqd: FakeNSQD) {
        self.stream = stream
        self.nsqd = nsqd
        stream.reader = self
        stream.startReading()
    }

    deinit {
        buffer.deallocate()
    }

    // MARK: Sending

    private func flush() { _ = writer.flush() }

    func ok() { send(responseFrame(Frame.ok)) }
    func heartbeat() { send(responseFrame(Frame.heartbeat)) }

    func error(_ text: String) {
        var bytes: [UInt8] = []
        Frame.append(.error, Array(text.utf8), to: &bytes)
        send(bytes)
    }

    /// Sends messages with consecutive IDs from 1 in one write.
    func messages(_ bodies: [String], attempts: UInt16 = 1) {
        send(messageBytes(bodies, attempts: attempts))
    }

    func messageBytes(_ bodies: [String], attempts: UInt16 = 1) -> [UInt8] {
        var bytes: [UInt8] = []
        for body in bodies {
            var data: [UInt8] = []
            data.append(bigEndian: Int64(1_700_000_000_000_000_000))
            data.append(bigEndian: attempts)
            data += MessageID(nextID).bytes
            data += Array(body.utf8)
            Frame.append(.message, data, to: &bytes)
            nextID += 1
        }
        return bytes
    }

    func send(_ bytes: [UInt8]) {
        writer.buffer += bytes
        _ = writer.flush()
    }

    /// Sends the bytes one by one, so that each arrives on its own.
    func drip(_ bytes: [UInt8], on loop: Loop, then done: @escaping () -> Void = {}) {
        var rest = bytes[...]
        let timer = Timer(on: loop)
        timer.start(after: .zero, repeating: .microseconds(1)) {
            guard let byte = rest.popFirst() else {
                timer.close()
                return done()
            }
            self.send([byte])
        }
    }

    func close() { stream.close() }

    // MARK: Receiving

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        kept += bytes
        var offset = 0
        kept.withUnsafeBytes { bytes in
            if !sawMagic, bytes.count >= 4 {
                #expect(bytes.prefix(4).elementsEqual("  V2".utf8))
                sawMagic = true
                offset = 4
            }
            while sawMagic, let next = nextCommand(in: bytes, at: &offset) {
                process(next.0, next.1)
            }
        }
        kept.removeFirst(offset)
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        hasEnded = true
        stream.close()
    }

    private func process(_ command: Command, _ body: Bytes) {
        commands.append(command)
        if !body.isEmpty { bodies.append(Array(body)) }
        guard !nsqd.script(self, command, body) else { return }
        switch command {
        case .identify:
            var bytes: [UInt8] = []
            Frame.append(.response, nsqd.answer.json, to: &bytes)
            send(bytes)
        case .subscribe, .publish, .multiPublish, .deferredPublish: ok()
        case .close: send(responseFrame(Frame.closeWait))
        default: break
        }
    }
}

/// Reads a complete command and its body, and advances `offset` past it; nil if it is incomplete.
func nextCommand(in bytes: Bytes, at offset: inout Int) -> (Command, Bytes)? {
    var end = offset
    guard case .line(let line) = CommandLine.next(in: bytes, at: &end),
        let command = try? Command(parsing: line)
    else { return nil }
    guard line.verb?.hasBody == true else {
        offset = end
        return (command, Bytes(start: nil, count: 0))
    }
    guard bytes.count >= end + 4 else { return nil }
    let start = end + 4
    let size = Int(bytes.bigEndian(at: end, as: Int32.self))
    guard bytes.count >= start + size else { return nil }
    offset = start + size
    return (command, bytes.view(start..<offset))
}

/// Calls `body` with a fake nsqd on a new loop, and runs the loop until the body's callbacks stop it.
func withNSQD(
    clock: Loop.Clock = .system, _ location: SourceLocation = #_sourceLocation,
    _ body: @escaping (Loop, FakeNSQD) throws -> Void
) throws {
    let loop = try Loop(clock: clock)
    let nsqd = try FakeNSQD(on: loop)
    Timer(on: loop).start(after: .zero) {
        #expect(throws: Never.self, sourceLocation: location) { try body(loop, nsqd) }
    }
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
    nsqd.close()
    loop.close()
    withExtendedLifetime(nsqd) {}
}

func responseFrame(_ text: StaticString) -> [UInt8] {
    var bytes: [UInt8] = []
    Frame.append(.response, text.bytes, to: &bytes)
    return bytes
}

extension Bytes {
    var text: String { String(decoding: self, as: UTF8.self) }
}

let plays = TopicName("plays")!
let counts = ChannelName("counts")!
