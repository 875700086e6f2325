import NSQWire
import Transport
import UVLoop

/// The load generator's connection to an nsqd. It parses frames and sends prepared bytes, through
/// TLS and compression if requested.
///
/// The load generator does not use `NSQClient`: it must be faster than any broker, and may lose
/// messages.
final class BenchConnection: StreamReader {
    private let stream: UVLoop.Stream
    private let transport: BenchTransport
    private var negotiation: BenchNegotiation
    private var layers = LayeredStream(tls: nil)
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 512 << 10, alignment: 16)
    /// The number of bytes of an incomplete frame at the start of the buffer.
    private var partialBytes = 0

    /// Runs when the negotiation is complete.
    private let onReady: (BenchConnection) -> Void
    /// Called for each message frame, and for each response except heartbeats.
    var onFrame: (ReceivedFrame) -> Void = { _ in }
    /// Called after all frames of a read were handled, and after a pending write has completed.
    var onReadEnd: () -> Void = {}
    private let onFailure: (BenchError) -> Void

    /// `true` while the socket buffer is full and a write is pending.
    private var isSending = false
    /// `true` after prepared bytes were sent. With compression, they are independently compressed
    /// blocks, so replies to heartbeats must then be such blocks too.
    private var sendsPrepared = false

    init(
        _ stream: UVLoop.Stream, _ transport: BenchTransport,
        onReady: @escaping (BenchConnection) -> Void, onFailure: @escaping (BenchError) -> Void
    ) {
        self.stream = stream
        self.transport = transport
        self.onReady = onReady
        self.onFailure = onFailure
        negotiation = BenchNegotiation(transport)
    }

    deinit { buffer.deallocate() }

    func start() {
        stream.setNoDelay(true)
        stream.reader = self
        stream.startReading()
        send(negotiation.opening)
        if negotiation.isDone { onReady(self) }
    }

    func close() { stream.close() }

    // MARK: Sending

    /// Returns `true` if no write is pending.
    var isIdle: Bool { !isSending }

    func send(_ command: Command) {
        var bytes: [UInt8] = []
        command.append(to: &bytes)
        send(bytes)
    }

    func send(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { layers.send($0) }
        layers.flush()
        sendWire()
    }

    /// Sends the result of ``BenchTransport/prepared(_:)`` `count` times. After this call, the
    /// connection may send only prepared bytes and heartbeat replies.
    func send(prepared bytes: UnsafeRawBufferPointer, times count: Int) {
        precondition(!isSending, "a write is pending")
        sendsPrepared = true
        var left = count
        var offset = 0
        if layers.tls == nil {
            let sent = trySending(bytes, times: count)
            left -= sent / bytes.count
            offset = sent % bytes.count
        }
        for _ in 0..<left {
            appendToWire(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
            offset = 0
        }
        layers.tls?.flush(into: layers.wire)
        sendWire()
    }

    /// Writes `count` copies of the bytes directly from their memory, for connections without TLS.
    ///
    /// - Returns: the number of bytes that the socket buffer has accepted.
    private func trySending(_ bytes: UnsafeRawBufferPointer, times count: Int) -> Int {
        let slices = [IOSlice](repeating: IOSlice(bytes), count: count)
        return slices.withUnsafeBufferPointer { tryWrite($0) }
    }

    private func appendToWire(_ prepared: UnsafeRawBufferPointer) {
        if let tls = layers.tls {
            tls.encode(prepared, into: layers.wire)
        } else {
            layers.wire.append(prepared)
        }
    }

    private func answerHeartbeat() {
        guard sendsPrepared else { return send(.nop) }
        var bytes: [UInt8] = []
        Command.nop.append(to: &bytes)
        transport.prepared(bytes).withUnsafeBytes { appendToWire($0) }
        layers.tls?.flush(into: layers.wire)
        sendWire()
    }

    private func sendWire() {
        guard !isSending, !layers.wire.isEmpty else { return }
        layers.wire.consume(
            withUnsafePointer(to: IOSlice(layers.wire.bytes)) {
                tryWrite(UnsafeBufferPointer(start: $0, count: 1))
            })
        guard !layers.wire.isEmpty else { return }
        isSending = true
        let rest = layers.takeWire()
        withUnsafePointer(to: IOSlice(rest.bytes)) {
            stream.write(UnsafeBufferPointer(start: $0, count: 1)) { [weak self] _ in
                // The bytes must live until libuv has written them.
                withExtendedLifetime(rest) { self?.sentRest() }
            }
        }
    }

    private func sentRest() {
        isSending = false
        sendWire()
        onReadEnd()
    }

    private func tryWrite(_ slices: UnsafeBufferPointer<IOSlice>) -> Int {
        switch stream.tryWrite(slices) {
        case .wrote(let count): return count
        case .failed(let error):
            onFailure(.connection(error))
            return 0
        }
    }

    // MARK: Receiving

    func readBuffer(
        for stream: UVLoop.Stream, suggested: Int
    ) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: buffer[partialBytes...])
    }

    func stream(_ stream: UVLoop.Stream, didRead bytes: UnsafeRawBufferPointer) {
        do throws(BenchError) {
            if transport.isPlain, negotiation.isDone {
                try receivePlain(newBytes: bytes.count)
            } else {
                try receiveLayered(bytes)
            }
            onReadEnd()
        } catch {
            onFailure(error)
        }
    }

    private func receivePlain(newBytes: Int) throws(BenchError) {
        let all = UnsafeRawBufferPointer(rebasing: buffer[..<(partialBytes + newBytes)])
        let offset = try handleFrames(all)
        partialBytes = all.count - offset
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[offset...]))
    }

    private func receiveLayered(_ bytes: UnsafeRawBufferPointer) throws(BenchError) {
        do throws(TransportError) {
            try layers.receive(bytes)
        } catch {
            throw .layers(error)
        }
        if !negotiation.isDone { try negotiate() }
        sendWire()
        guard negotiation.isDone else { return }
        repeat {
            layers.plain.consume(try handleFrames(layers.plain.bytes))
        } while try advance()
    }

    /// - Returns: `true` if the TLS and compression layers produced more bytes.
    private func advance() throws(BenchError) -> Bool {
        let before = layers.plain.count
        do throws(TransportError) {
            let hasMore = try layers.advance(limit: buffer.count)
            return hasMore || layers.plain.count > before
        } catch {
            throw .layers(error)
        }
    }

    /// Handles the negotiation's responses one at a time, because the bytes after a response may be
    /// encoded by a new layer.
    private func negotiate() throws(BenchError) {
        while !negotiation.isDone {
            var offset = 0
            guard let frame = try nextFrame(layers.plain.bytes, at: &offset) else {
                guard try advance() else { return }
                continue
            }
            let data = Array(frame.data)
            guard frame.kind == .response else {
                throw .refused(String(decoding: data, as: UTF8.self))
            }
            layers.plain.consume(offset)
            try negotiation.handle(data, &layers)
            if layers.tls?.isEstablished == false { try startHandshake() }
        }
        onReady(self)
    }

    /// Sends the first message of the TLS handshake.
    private func startHandshake() throws(BenchError) {
        do throws(TransportError) {
            try layers.receive(UnsafeRawBufferPointer(start: nil, count: 0))
        } catch {
            throw .layers(error)
        }
    }

    /// - Returns: the size of the complete frames in `all`, in bytes.
    private func handleFrames(_ all: UnsafeRawBufferPointer) throws(BenchError) -> Int {
        var offset = 0
        while let frame = try nextFrame(all, at: &offset) { handle(frame) }
        return offset
    }

    @inline(__always)
    private func nextFrame(
        _ bytes: UnsafeRawBufferPointer, at offset: inout Int
    ) throws(BenchError) -> ReceivedFrame? {
        do throws(FrameError) {
            return try FrameScanner.next(in: bytes, at: &offset, limit: buffer.count / 2)
        } catch {
            throw .malformed(error)
        }
    }

    @inline(__always)
    private func handle(_ frame: ReceivedFrame) {
        switch frame.kind {
        case .message: onFrame(frame)
        case .error: onFailure(.refused(String(decoding: frame.data, as: UTF8.self)))
        case .response where frame.data.elementsEqual(Frame.heartbeat.bytes): answerHeartbeat()
        case .response: onFrame(frame)
        }
    }

    func stream(_ stream: UVLoop.Stream, didEnd error: UVError?) {
        onFailure(.connection(error))
    }
}
