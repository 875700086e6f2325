import NSQWire
import TallyBasics
import TestKit
import UVLoop

/// A proxy between a consumer and an nsqd that delays bytes and cuts connections. Its decisions depend
/// only on a seed. It checks that the consumer answers each delivery at most once.
final class FaultyProxy {
    private(set) var address = SocketAddress(host: "127.0.0.1", port: 0)
    /// Descriptions of answers without a delivery.
    private(set) var violations: [String] = []
    /// The maximum delay of a chunk of bytes; zero for no delays.
    var longestDelay = Duration.zero
    /// The number of established connections that were cut.
    private(set) var cutCount = 0

    private let loop: Loop
    private let target: SocketAddress
    private var generator: SeededGenerator
    private var listener: Listener?
    private var links: [ProxiedConnection] = []

    init(on loop: Loop, to target: SocketAddress, seed: UInt64) throws {
        self.loop = loop
        self.target = target
        generator = SeededGenerator(seed: seed)
        let listener = try Listener(on: loop, host: "127.0.0.1", port: 0) { [unowned self] in
            accept($0)
        }
        self.listener = listener
        address = listener.address
    }

    /// Forwards the bytes that are due. Call this method in each loop iteration.
    func forward() {
        links.removeAll(where: \.isClosed)
        for link in links { link.forward() }
    }

    /// Cuts one connection, if there is one. Delayed bytes of both directions are lost.
    func cut() {
        guard let link = links.randomElement(using: &generator) else { return }
        cutCount += 1
        link.close()
    }

    func close() {
        listener?.close()
        for link in links { link.close() }
    }

    private func accept(_ client: Stream) {
        Stream.connect(to: target, on: loop) { [weak self] result in
            guard let self, case .success(let server) = result else { return client.close() }
            // Nagle's algorithm would delay bytes for milliseconds of the system's clock, which can
            // be minutes of the manual clock.
            for stream in [client, server] { stream.setNoDelay(true) }
            links.append(
                ProxiedConnection(
                    client, server, on: loop,
                    delay: { [unowned self] in randomDelay() },
                    violation: { [unowned self] in violations.append($0) }))
        }
    }

    private func randomDelay() -> Duration {
        guard longestDelay > .zero, Bool.random(using: &generator) else { return .zero }
        return longestDelay * Double.random(in: 0...1, using: &generator)
    }
}

/// Both directions of one connection through the proxy.
private final class ProxiedConnection {
    private(set) var isClosed = false
    private let toServer: ProxiedDirection
    private let toClient: ProxiedDirection
    private var frames = FrameDecoder()
    private var commands: [UInt8] = []
    private var hasMagic = false
    /// The number of deliveries without an answer, by message.
    private var unanswered: [MessageID: Int] = [:]
    private let violation: (String) -> Void

    init(
        _ client: Stream, _ server: Stream, on loop: Loop, delay: @escaping () -> Duration,
        violation: @escaping (String) -> Void
    ) {
        self.violation = violation
        toServer = ProxiedDirection(from: client, to: server, on: loop, delay: delay)
        toClient = ProxiedDirection(from: server, to: client, on: loop, delay: delay)
        toServer.onBytes = { [unowned self] in readCommands($0) }
        toClient.onBytes = { [unowned self] in readFrames($0) }
        for direction in [toServer, toClient] {
            direction.onEnd = { [unowned self] in close() }
            direction.start()
        }
    }

    func forward() {
        toServer.forward()
        toClient.forward()
    }

    func close() {
        isClosed = true
        toServer.close()
        toClient.close()
    }

    private func readFrames(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            try? frames.feed(bytes) { frame in
                guard frame.kind == .message, let message = ReceivedMessage(data: frame.data) else {
                    return
                }
                unanswered[message.id, default: 0] += 1
            }
        }
    }

    private func readCommands(_ bytes: [UInt8]) {
        commands += bytes
        var offset = 0
        commands.withUnsafeBytes { bytes in
            if !hasMagic, bytes.count >= 4 {
                hasMagic = true
                offset = 4
            }
            while hasMagic, let (command, _) = nextCommand(in: bytes, at: &offset) {
                switch command {
                case .finish(let id), .requeue(let id, _):
                    let count = unanswered[id, default: 0]
                    if count == 0 { violation("\(command) without a delivery") }
                    unanswered[id] = max(0, count - 1)
                default: break
                }
            }
        }
        commands.removeFirst(offset)
    }
}

/// One direction of a proxied connection: chunks are forwarded in their order, each after a delay.
private final class ProxiedDirection: StreamReader {
    var onBytes: ([UInt8]) -> Void = { _ in }
    var onEnd: () -> Void = {}

    private let source: Stream
    private let loop: Loop
    private let delay: () -> Duration
    private let writer: StreamWriter
    private var chunks: [(dueNanoseconds: Int64, bytes: [UInt8])] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    init(from source: Stream, to sink: Stream, on loop: Loop, delay: @escaping () -> Duration) {
        self.source = source
        self.loop = loop
        self.delay = delay
        writer = StreamWriter(sink) { _ in }
    }

    deinit { buffer.deallocate() }

    func start() {
        source.reader = self
        source.startReading()
    }

    func forward() {
        while let chunk = chunks.first, chunk.dueNanoseconds <= loop.nowNanoseconds {
            chunks.removeFirst()
            writer.buffer += chunk.bytes
        }
        if case .failed = writer.flush() { onEnd() }
    }

    func close() {
        chunks = []
        source.close()
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        let bytes = Array(bytes)
        onBytes(bytes)
        let due = max(
            chunks.last?.dueNanoseconds ?? 0, loop.nowNanoseconds + delay().nanosecondsRoundedUp)
        chunks.append((due, bytes))
    }

    func stream(_ stream: Stream, didEnd error: UVError?) { onEnd() }
}
