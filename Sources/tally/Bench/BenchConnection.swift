import NSQWire
import UVLoop

/// A bare connection to an nsqd for the load generator: frames in, prepared bytes out.
///
/// Not `NSQClient`'s: a loader has to be faster than any broker, and has no message to lose.
final class BenchConnection: StreamReader {
    private let stream: UVLoop.Stream
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 512 << 10, alignment: 16)
    private var kept = 0

    /// Gets each frame as it comes, and then what was read is at its end.
    var onFrame: (ReceivedFrame) -> Void = { _ in }
    var onReadEnd: () -> Void = {}
    var onFailure: (BenchError) -> Void

    /// What was not sent at once.
    private var isSending = false
    private var waiting: [UInt8] = []

    init(_ stream: UVLoop.Stream, onFailure: @escaping (BenchError) -> Void) {
        self.stream = stream
        self.onFailure = onFailure
        stream.noDelay(true)
        stream.reader = self
        stream.startReading()
        send(Array(Command.magic.bytes))
    }

    deinit { buffer.deallocate() }

    func close() { stream.close() }

    // MARK: Out

    /// Whether all that was to be sent has been.
    var isIdle: Bool { !isSending }

    func send(_ command: Command) {
        var bytes: [UInt8] = []
        command.append(to: &bytes)
        send(bytes)
    }

    func send(_ bytes: [UInt8]) {
        guard !isSending else { return waiting.append(contentsOf: bytes) }
        let sent = bytes.withUnsafeBytes { bytes in
            withUnsafePointer(to: IOSlice(bytes)) {
                tryWrite(UnsafeBufferPointer(start: $0, count: 1))
            }
        }
        guard sent < bytes.count else { return }
        sendLater(Array(bytes[sent...]))
    }

    /// Sends `bytes` `count` times over. They must stay where they are for as long as this lives.
    func send(_ bytes: UnsafeRawBufferPointer, times count: Int) {
        precondition(!isSending, "ask isIdle first")
        let slices = [IOSlice](
            repeating: IOSlice(bytes), count: min(count, UVLoop.Stream.maxSlices))
        let sent = slices.withUnsafeBufferPointer { tryWrite($0) }
        guard sent < bytes.count * slices.count else { return }
        let rest = sent % bytes.count
        var left = Array(bytes[rest...])
        for _ in 0..<(slices.count - sent / bytes.count - 1) { left.append(contentsOf: bytes) }
        sendLater(left)
    }

    private func tryWrite(_ slices: UnsafeBufferPointer<IOSlice>) -> Int {
        switch stream.tryWrite(slices) {
        case .wrote(let count): return count
        case .failed(let error):
            onFailure(.connection(error))
            return 0
        }
    }

    private func sendLater(_ bytes: [UInt8]) {
        isSending = true
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        memory.copyBytes(from: bytes)
        withUnsafePointer(to: IOSlice(UnsafeRawBufferPointer(memory))) {
            stream.write(UnsafeBufferPointer(start: $0, count: 1)) { [weak self] _ in
                memory.deallocate()
                self?.sentLater()
            }
        }
    }

    private func sentLater() {
        isSending = false
        let bytes = waiting
        waiting = []
        if !bytes.isEmpty { send(bytes) }
        onReadEnd()
    }

    // MARK: In

    func readBuffer(
        for stream: UVLoop.Stream, suggested: Int
    ) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: buffer[kept...])
    }

    func stream(_ stream: UVLoop.Stream, didRead bytes: UnsafeRawBufferPointer) {
        let all = UnsafeRawBufferPointer(rebasing: buffer[..<(kept + bytes.count)])
        var offset = 0
        do throws(FrameError) {
            while let frame = try FrameReader.next(in: all, at: &offset, limit: buffer.count / 2) {
                take(frame)
            }
        } catch {
            return onFailure(.malformed(error))
        }
        kept = all.count - offset
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[offset...]))
        onReadEnd()
    }

    @inline(__always)
    private func take(_ frame: ReceivedFrame) {
        switch frame.kind {
        case .message: onFrame(frame)
        case .error: onFailure(.refused(String(decoding: frame.data, as: UTF8.self)))
        case .response where frame.data.elementsEqual(Frame.heartbeat.bytes): send(.nop)
        case .response: onFrame(frame)
        }
    }

    func stream(_ stream: UVLoop.Stream, didEnd error: UVError?) {
        onFailure(.connection(error))
    }
}

/// Why a measurement could not be made.
enum BenchError: Error, CustomStringConvertible {
    case connection(UVError?)
    case malformed(FrameError)
    case refused(String)
    case stalled(String)

    var description: String {
        switch self {
        case .connection(let error):
            "the connection ended: \(error.map { "\($0)" } ?? "hung up on")"
        case .malformed(let error): "what it sends is not NSQ: \(error)"
        case .refused(let text): "it answered \(text)"
        case .stalled(let what): "nothing came for ten seconds while \(what)"
        }
    }
}
