import NSQWire
import Transport
import UVLoop

/// A bare connection to an nsqd for the load generator: frames in, prepared bytes out, with no
/// layers or with those that were agreed on between.
///
/// Not `NSQClient`'s: a loader has to be faster than any broker, and has no message to lose.
final class BenchConnection: StreamReader {
    private let stream: UVLoop.Stream
    private let transport: BenchTransport
    private var negotiation: BenchNegotiation
    private var layers = LayeredStream(tls: nil)
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 512 << 10, alignment: 16)
    private var kept = 0

    /// All is agreed on.
    private let onReady: (BenchConnection) -> Void
    /// Gets each frame as it comes, and then what was read is at its end.
    var onFrame: (ReceivedFrame) -> Void = { _ in }
    var onReadEnd: () -> Void = {}
    private let onFailure: (BenchError) -> Void

    /// The kernel is full: what is sent now gathers.
    private var isSending = false
    /// What is sent here stands for itself, and what is said between must, too.
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
        stream.noDelay(true)
        stream.reader = self
        stream.startReading()
        send(negotiation.opening)
        if negotiation.isDone { onReady(self) }
    }

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
        bytes.withUnsafeBytes { layers.send($0) }
        layers.flush()
        sendWire()
    }

    /// Sends `count` times over what ``BenchTransport/prepared(_:)`` has made. Nothing else is ever
    /// sent on this connection.
    func send(prepared bytes: UnsafeRawBufferPointer, times count: Int) {
        precondition(!isSending, "ask isIdle first")
        sendsPrepared = true
        var left = count
        var offset = 0
        if layers.tls == nil {
            let sent = trySending(bytes, times: count)
            left -= sent / bytes.count
            offset = sent % bytes.count
        }
        for _ in 0..<left {
            putOnWire(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
            offset = 0
        }
        layers.tls?.flush(into: layers.wire)
        sendWire()
    }

    /// Without TLS the kernel takes the bytes from where they are.
    private func trySending(_ bytes: UnsafeRawBufferPointer, times count: Int) -> Int {
        let slices = [IOSlice](repeating: IOSlice(bytes), count: count)
        return slices.withUnsafeBufferPointer { tryWrite($0) }
    }

    private func putOnWire(_ prepared: UnsafeRawBufferPointer) {
        if let tls = layers.tls {
            tls.outgoing(prepared, into: layers.wire)
        } else {
            layers.wire.append(prepared)
        }
    }

    private func answerHeartbeat() {
        guard sendsPrepared else { return send(.nop) }
        var bytes: [UInt8] = []
        Command.nop.append(to: &bytes)
        transport.prepared(bytes).withUnsafeBytes { putOnWire($0) }
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
                // Held until here, whatever became of the connection.
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

    // MARK: In

    func readBuffer(
        for stream: UVLoop.Stream, suggested: Int
    ) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: buffer[kept...])
    }

    func stream(_ stream: UVLoop.Stream, didRead bytes: UnsafeRawBufferPointer) {
        do throws(BenchError) {
            if transport.isPlain {
                try takePlain(newBytes: bytes.count)
            } else {
                try takeLayered(bytes)
            }
            onReadEnd()
        } catch {
            onFailure(error)
        }
    }

    private func takePlain(newBytes: Int) throws(BenchError) {
        let all = UnsafeRawBufferPointer(rebasing: buffer[..<(kept + newBytes)])
        let offset = try takeFrames(all)
        kept = all.count - offset
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[offset...]))
    }

    private func takeLayered(_ bytes: UnsafeRawBufferPointer) throws(BenchError) {
        do throws(TransportError) {
            try layers.receive(bytes)
        } catch {
            throw .layers(error)
        }
        if !negotiation.isDone { try negotiate() }
        sendWire()
        guard negotiation.isDone else { return }
        repeat {
            layers.plain.consume(try takeFrames(layers.plain.bytes))
        } while try advance()
    }

    /// - Returns: whether that has brought anything.
    private func advance() throws(BenchError) -> Bool {
        let before = layers.plain.count
        do throws(TransportError) {
            let hasMore = try layers.advance(limit: buffer.count)
            return hasMore || layers.plain.count > before
        } catch {
            throw .layers(error)
        }
    }

    /// Frame by frame: what lies behind one may be for a layer that it has laid.
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
            try negotiation.take(data, &layers)
            if layers.tls?.isEstablished == false { try shakeHands() }
        }
        onReady(self)
    }

    /// The client speaks first.
    private func shakeHands() throws(BenchError) {
        do throws(TransportError) {
            try layers.receive(UnsafeRawBufferPointer(start: nil, count: 0))
        } catch {
            throw .layers(error)
        }
    }

    /// - Returns: how many bytes of `all` made whole frames.
    private func takeFrames(_ all: UnsafeRawBufferPointer) throws(BenchError) -> Int {
        var offset = 0
        while let frame = try nextFrame(all, at: &offset) { take(frame) }
        return offset
    }

    @inline(__always)
    private func nextFrame(
        _ bytes: UnsafeRawBufferPointer, at offset: inout Int
    ) throws(BenchError) -> ReceivedFrame? {
        do throws(FrameError) {
            return try FrameReader.next(in: bytes, at: &offset, limit: buffer.count / 2)
        } catch {
            throw .malformed(error)
        }
    }

    @inline(__always)
    private func take(_ frame: ReceivedFrame) {
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
