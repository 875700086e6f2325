import NSQWire
import Testing
import UVLoop

/// An nsqd that follows a script. What the script leaves alone is answered as nsqd would.
final class FakeNSQD {
    private(set) var address = SocketAddress(host: "127.0.0.1", port: 0)
    private(set) var connections: [FakeConnection] = []
    private var listener: Listener?

    /// Sees every command first; true when it has dealt with it.
    var script: (FakeConnection, Command, Bytes) -> Bool = { _, _, _ in false }
    var onConnection: (FakeConnection) -> Void = { _ in }
    var answer = IdentifyAnswer(
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
        // The script often holds who holds the nsqd.
        script = { _, _, _ in false }
        onConnection = { _ in }
    }
}

final class FakeConnection: StreamReader {
    let stream: Stream
    /// Every command that came, as its first line.
    private(set) var commands: [Command] = []
    private(set) var bodies: [[UInt8]] = []
    private(set) var hasEnded = false
    private unowned let nsqd: FakeNSQD
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

    // MARK: What it says

    func ok() { send(responseFrame(Frame.ok)) }
    func heartbeat() { send(responseFrame(Frame.heartbeat)) }

    func error(_ text: String) {
        var bytes: [UInt8] = []
        Frame.append(.error, Array(text.utf8), to: &bytes)
        send(bytes)
    }

    /// Messages with running IDs from 1, in one write.
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
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        memory.copyBytes(from: bytes)
        withUnsafePointer(to: IOSlice(UnsafeRawBufferPointer(memory))) { slice in
            stream.write(UnsafeBufferPointer(start: slice, count: 1)) { _ in memory.deallocate() }
        }
    }

    /// Sends the bytes one at a time, each to arrive on its own.
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

    // MARK: What it hears

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
                take(next.0, next.1)
            }
        }
        kept.removeFirst(offset)
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        hasEnded = true
        stream.close()
    }

    private func nextCommand(in bytes: Bytes, at offset: inout Int) -> (Command, Bytes)? {
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

    private func take(_ command: Command, _ body: Bytes) {
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

/// Runs a scene with a fake nsqd on a loop of its own, until the scene stops the loop.
func withNSQD(
    _ location: SourceLocation = #_sourceLocation,
    _ scene: @escaping (Loop, FakeNSQD) throws -> Void
) throws {
    let loop = try Loop()
    let nsqd = try FakeNSQD(on: loop)
    Timer(on: loop).start(after: .zero) {
        #expect(throws: Never.self, sourceLocation: location) { try scene(loop, nsqd) }
    }
    let guardian = Timer(on: loop)
    guardian.start(after: .seconds(10)) {
        Issue.record("the scene did not end within 10 s", sourceLocation: location)
        loop.stop()
    }
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
