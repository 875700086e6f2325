import Testing
import UVLoop

/// Runs a scene on a loop of its own: until the scene stops the loop, or nothing is left to do. The
/// loop is closed on the way out, so the address sanitizer sees what is used after that.
func onLoop(
    within limit: Duration = .seconds(10), _ scene: (Loop) throws -> Void,
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
    // The guardian must not keep a loop running that has nothing else to do.
    guardian.keepsLoopRunning = false
    loop.run()
}

/// Collects what comes in, and tells of it.
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

/// Memory to write from that stays where it is until the end of the test's process.
func lastingSlice(_ byteCount: Int) -> UnsafeBufferPointer<IOSlice> {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
    bytes.initializeMemory(as: UInt8.self, repeating: 0x78)
    let slices = UnsafeMutableBufferPointer<IOSlice>.allocate(capacity: 1)
    slices.initialize(repeating: IOSlice(UnsafeRawBufferPointer(bytes)))
    return UnsafeBufferPointer(slices)
}
