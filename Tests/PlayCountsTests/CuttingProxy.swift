import UVLoop

/// A proxy between a client and an nsqd that closes connections after nsqd has executed a command
/// and before its response reaches the client.
final class CuttingProxy {
    private(set) var address = SocketAddress(host: "127.0.0.1", port: 0)
    private let loop: Loop
    private let nsqd: SocketAddress
    private var listener: Listener?
    /// For each of the first connections, the number of reads from nsqd that it forwards. Later
    /// connections forward all.
    private var readLimits: [Int]
    private var pairs: [(Relay, Relay)] = []

    init(on loop: Loop, to nsqd: SocketAddress, cuttingAfter readLimits: [Int]) throws {
        self.loop = loop
        self.nsqd = nsqd
        self.readLimits = readLimits
        listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { [unowned self] client in
            relay(client)
        }
        address = listener!.address
    }

    var connections: Int { pairs.count }

    func close() { listener?.close() }

    private func relay(_ client: Stream) {
        let (up, down) = (Relay(), Relay())
        pairs.append((up, down))
        down.left = readLimits.isEmpty ? .max : readLimits.removeFirst()
        for relay in [up, down] {
            relay.onEnd = {
                up.close()
                down.close()
            }
        }
        up.read(from: client)
        down.write(to: client)
        _ = Stream.connect(to: nsqd, on: loop) { result in
            guard case .success(let stream) = result else { return client.close() }
            up.write(to: stream)
            down.read(from: stream)
        }
    }
}

/// One direction of a connection.
private final class Relay: StreamReader {
    var left = Int.max
    var onEnd: () -> Void = {}
    private var source: Stream?
    private var target: Stream?
    private var early: [UInt8] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

    deinit { buffer.deallocate() }

    func read(from stream: Stream) {
        source = stream
        stream.reader = self
        stream.startReading()
    }

    func write(to stream: Stream) {
        target = stream
        send(early)
        early = []
    }

    func close() {
        source?.close()
        target?.close()
        onEnd = {}
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        guard left > 0 else { return onEnd() }
        left -= 1
        if target == nil { early += bytes } else { send(Array(bytes)) }
    }

    func stream(_ stream: Stream, didEnd error: UVError?) { onEnd() }

    private func send(_ bytes: [UInt8]) {
        guard let target, !bytes.isEmpty else { return }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        memory.copyBytes(from: bytes)
        withUnsafePointer(to: IOSlice(UnsafeRawBufferPointer(memory))) { slice in
            target.write(UnsafeBufferPointer(start: slice, count: 1)) { _ in memory.deallocate() }
        }
    }
}
