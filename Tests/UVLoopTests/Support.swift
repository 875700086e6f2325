import Testing
import UVLoop

/// Calls `body` with a new loop and runs the loop until the body's callbacks stop it or no work is
/// left. The loop is closed at the end, so that the address sanitizer detects later uses.
func onLoop(
    clock: Loop.Clock = .system, within limit: Duration = .seconds(300),
    _ body: (Loop) throws -> Void, _ location: SourceLocation = #_sourceLocation
) throws {
    let loop = try Loop(clock: clock)
    defer { loop.close() }
    try body(loop)
    let watchdog = Timer(on: loop)
    watchdog.start(after: limit) {
        Issue.record("the loop did not end within \(limit)", sourceLocation: location)
        loop.stop()
    }
    // The watchdog must not keep a loop running that has no other work.
    watchdog.keepsLoopRunning = false
    loop.run()
}

/// Collects received bytes, and calls closures for bytes and for the end.
final class Collector: StreamReader {
    var bytes: [UInt8] = []
    var ends: [UVError?] = []
    var onBytes: (Stream) -> Void = { _ in }
    var onEnd: (Stream) -> Void = { _ in }
    private let buffer: UnsafeMutableRawBufferPointer

    init(bufferBytes: Int = 4096) {
        buffer = .allocate(byteCount: bufferBytes, alignment: 16)
    }

    deinit {
        buffer.deallocate()
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer {
        buffer
    }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        self.bytes += bytes
        onBytes(stream)
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        ends.append(error)
        onEnd(stream)
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

/// Memory to write that is never deallocated.
func lastingSlice(_ byteCount: Int) -> UnsafeBufferPointer<IOSlice> {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
    bytes.initializeMemory(as: UInt8.self, repeating: 0x78)
    let slices = UnsafeMutableBufferPointer<IOSlice>.allocate(capacity: 1)
    slices.initialize(repeating: IOSlice(UnsafeRawBufferPointer(bytes)))
    return UnsafeBufferPointer(slices)
}

/// Connects a writer to a reader, and runs the loop until the test stops it.
func withWriter(
    reader: Collector, onDrain: @escaping (UVError?) -> Void = { _ in },
    _ body: @escaping (StreamWriter, Stream) -> Void
) throws {
    try onLoop { loop in
        var accepted: Stream?
        let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { stream in
            stream.reader = reader
            accepted = stream
        }
        Stream.connect(to: listener.address, on: loop) { result in
            guard let stream = try? result.get() else { return }
            // The peer is accepted in a later iteration.
            func start() {
                guard let accepted else { return loop.runInNextIteration(start) }
                body(StreamWriter(stream, onDrain: onDrain), accepted)
            }
            start()
        }
    }
}
