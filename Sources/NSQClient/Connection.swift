import Logging
import NSQWire
import Transport
import UVLoop

/// Receives the events of a connection.
protocol ConnectionDelegate: AnyObject {
    /// Runs when nsqd has accepted IDENTIFY and, for a consumer, SUB.
    func connectionDidEstablish(_ connection: Connection)

    /// Receives messages. Their frames begin at the byte offsets `offsets` in `buffer`.
    func connection(
        _ connection: Connection, didReceiveMessagesAt offsets: [UInt32], in buffer: ReceiveBuffer)

    /// Receives nsqd's response to a command. The event is never `.none`, `.install` or
    /// `.established`.
    func connection(_ connection: Connection, didReceive event: ClientSession.Event)

    /// Runs once when the connection has ended. `error` is nil after ``Connection/drain()``.
    func connectionDidEnd(_ connection: Connection, _ error: NSQError?)
}

/// One TCP connection to one nsqd, from the connection attempt to the close.
///
/// The connection sends all commands of a loop iteration in one write at the end of the iteration.
final class Connection {
    private enum State {
        case connecting(Connecting?)
        case open(StreamWriter)
        /// The last bytes are being sent; nsqd has yet to close its side.
        case draining(StreamWriter, LingeringClose)
        case ended
    }

    let address: SocketAddress
    private let loop: Loop
    private let identify: Identify
    private let options: ClientOptions
    private weak var delegate: (any ConnectionDelegate)?
    private var session: ClientSession
    private var state = State.connecting(nil)
    private let timer: Timer
    private var frames: FrameReader
    /// TLS and compression; nil for a connection with neither.
    private var codec: ConnectionCodec?
    /// Writes FIN on the threads of the tasks that process messages, if the owner allows that.
    private let directWriter = DirectWriter()
    private var isDirectWritingAllowed = false
    private var isFlushScheduled = false

    /// The maximum capacity in bytes that the write buffer keeps between writes.
    private static let maxRetainedCapacity = 1 << 20

    /// The number of decoded bytes after which the connection continues in the next loop iteration.
    /// A few compressed bytes can expand to megabytes.
    private static let maxDecodedBytesPerIteration = 1 << 20

    init(
        on loop: Loop, to address: SocketAddress, as role: ClientSession.Role, identify: Identify,
        options: ClientOptions, delegate: any ConnectionDelegate
    ) {
        self.loop = loop
        self.address = address
        self.identify = identify
        self.options = options
        self.delegate = delegate
        session = ClientSession(
            role, heartbeatInterval: options.heartbeatInterval, authSecret: options.authSecret)
        timer = Timer(on: loop)
        frames = FrameReader(
            maxFrameBytes: options.maxFrameBytes, directWriter: directWriter)
    }

    /// The limits that nsqd has announced.
    var limits: ClientSession.Limits { session.limits }

    var isEstablished: Bool {
        guard case .open = state else { return false }
        return session.phase == .established || session.phase == .closing
    }

    func start() {
        timer.start(after: options.connectTimeout) { [weak self] in
            guard let self else { return }
            fail("no answer within \(options.connectTimeout)")
        }
        let connecting = Stream.connect(to: address, on: loop) { [weak self] result in
            switch (result, self) {
            case (.success(let stream), let self?): self.open(on: stream)
            case (.success(let stream), nil): stream.close()
            case (.failure(let error), let self): self?.fail(error.description)
            }
        }
        state = .connecting(connecting)
    }

    /// Calls `append` to encode commands, which the connection sends at the end of the loop
    /// iteration.
    func write(_ append: (inout [UInt8]) -> Void) {
        guard case .open(let writer) = state else { return }
        if let codec { append(&codec.output) } else { append(&writer.buffer) }
        scheduleFlush()
    }

    /// Allows or forbids other threads to write FIN with the ``DirectWriter`` of the received messages.
    /// A connection with TLS or compression never allows it.
    func setDirectWriting(_ isAllowed: Bool) {
        // The owner calls this method after each message. If nothing changes, it returns without the
        // writer's lock, which is often taken at that time.
        guard isAllowed != isDirectWritingAllowed, codec == nil, isEstablished,
            case .open(let writer) = state
        else { return }
        isDirectWritingAllowed = isAllowed
        if isAllowed { directWriter.open(writer.stream) } else { directWriter.close() }
    }

    /// Sends `CLS`, so that nsqd sends no more messages.
    func close() {
        write { session.close(into: &$0) }
    }

    /// Ends the connection when nsqd has received all commands.
    func drain() {
        switch state {
        case .connecting: end(nil)
        case .open(let writer):
            directWriter.close()
            let closing = LingeringClose(writer.stream) { [weak self] in self?.end(nil) }
            state = .draining(writer, closing)
            timer.stop()
            codec?.finish(into: &writer.buffer)
            flush()
        case .draining, .ended: break
        }
    }

    /// Ends the connection at once because of an error.
    func fail(_ reason: String) {
        end(error(reason))
    }

    /// Logs the settings that nsqd has refused or changed.
    func logChangedSettings(to logger: Logger) {
        for change in session.changedSettings { logger.warning("nsqd at \(address): \(change)") }
    }

    private func open(on stream: Stream) {
        guard case .connecting = state else { return stream.close() }
        let writer = StreamWriter(stream, maxRetainedCapacity: Self.maxRetainedCapacity) {
            [weak self] error in
            if let error { self?.fail(error.description) } else { self?.flush() }
        }
        state = .open(writer)
        stream.setNoDelay(true)
        stream.reader = self
        stream.startReading()
        session.open(identify, into: &writer.buffer, atNanoseconds: loop.nowNanoseconds)
        scheduleFlush()
    }

    /// Returns the error for the owner: `unreachable` before the connection is established,
    /// `connectionLost` after that.
    private func error(_ reason: String) -> NSQError {
        switch session.phase {
        case .unopened, .identifying, .upgrading, .authenticating, .subscribing:
            .unreachable(address: address.description, reason: reason)
        case .established, .closing, .closed:
            .connectionLost(address: address.description, reason: reason)
        }
    }

    private func end(_ error: NSQError?) {
        let last = state
        state = .ended
        directWriter.close()
        switch last {
        case .ended: return
        case .connecting(let connecting): connecting?.cancel()
        case .open(let writer): writer.stream.close()
        case .draining(let writer, let closing):
            closing.cancel()
            writer.stream.close()
        }
        timer.close()
        delegate?.connectionDidEnd(self, error)
    }
}

// MARK: - Reading

extension Connection: StreamReader {
    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer {
        codec?.readBuffer ?? frames.readBuffer()
    }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        // While draining, received bytes are discarded.
        guard case .open = state else { return }
        session.recordInput(atNanoseconds: loop.nowNanoseconds)
        if let codec {
            receive(bytes, through: codec)
        } else {
            frames.didRead(bytes.count)
            processFrames()
        }
        // The frames may have installed the first layer, which then decodes the rest of the bytes.
        if codec != nil { processEncoded() }
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        if case .draining = state { return end(nil) }
        fail(error?.description ?? "closed by nsqd")
    }

    /// Passes received messages and responses to the delegate in the order of their frames.
    private func processFrames() {
        do throws(FrameError) {
            while case .open(let writer) = state, try processNextFrame(respondingTo: writer) {}
        } catch {
            fail("sent an invalid frame: \(error)")
        }
    }

    /// Processes all messages before the next response, and then that response.
    ///
    /// - Returns: `true` if there was a response, and more frames can follow it.
    private func processNextFrame(respondingTo writer: StreamWriter) throws(FrameError) -> Bool {
        var offsets: [UInt32] = []
        let frame = try frames.collectMessages(into: &offsets)
        if !offsets.isEmpty {
            guard isEstablished else {
                fail("sent messages nobody asked for")
                return false
            }
            delegate?.connection(self, didReceiveMessagesAt: offsets, in: frames.currentBuffer)
        }
        guard let frame else { return false }
        if case .open = state { process(frame, respondingTo: writer) }
        return true
    }

    private func process(_ frame: ReceivedFrame, respondingTo writer: StreamWriter) {
        do throws(ClientSession.Failure) {
            let event: ClientSession.Event
            if let codec {
                event = try session.receive(frame.kind, frame.data, into: &codec.output)
                if !codec.output.isEmpty { scheduleFlush() }
            } else {
                event = try session.receive(frame.kind, frame.data, into: &writer.buffer)
                if !writer.buffer.isEmpty { scheduleFlush() }
            }
            switch event {
            case .none: break
            case .install(let layer): install(layer)
            case .established: establish()
            default: delegate?.connection(self, didReceive: event)
            }
        } catch {
            end(after: error)
        }
    }

    private func establish() {
        let interval = options.heartbeatInterval
        timer.start(after: interval, repeating: interval) { [weak self] in
            guard let self, session.isSilent(atNanoseconds: loop.nowNanoseconds) else { return }
            fail("no heartbeat for \(interval * 2)")
        }
        delegate?.connectionDidEstablish(self)
    }

    private func end(after failure: ClientSession.Failure) {
        switch failure {
        case .refused(let response):
            end(.refused(address: address.description, response: response))
        case .unexpected(let response): fail("sent an unexpected response “\(response)”")
        case .needsAuthentication: fail("requires AUTH, but the options contain no secret")
        case .tlsUnavailable: fail("offers no TLS, which the options require")
        }
    }
}

// MARK: - TLS and compression

extension Connection {
    /// Installs a layer for all bytes after the current frame.
    private func install(_ layer: ClientSession.Layer) {
        let rest = frames.removeUnparsed()
        if let compression = layer.compression {
            let codec = codec ?? ConnectionCodec(tls: nil)
            self.codec = codec
            codec.add(compression, rest: rest)
        } else {
            let codec = ConnectionCodec(tls: options.tls?.session(to: address.host))
            self.codec = codec
            rest.withUnsafeBytes { receive($0, through: codec) }
        }
    }

    private func receive(_ bytes: UnsafeRawBufferPointer, through codec: ConnectionCodec) {
        do throws(TransportError) {
            try codec.receive(bytes)
            scheduleFlush()
        } catch {
            fail(error)
        }
    }

    /// Decodes the received bytes and processes their frames, up to the limit of one loop iteration.
    private func processEncoded() {
        var quota = Self.maxDecodedBytesPerIteration
        do throws(TransportError) {
            while case .open(let writer) = state, let codec {
                let count = try codec.decode(into: &frames)
                guard count > 0 else { break }
                processFrames()
                quota -= count
                if quota <= 0 { return continueLater(writer.stream) }
            }
        } catch {
            fail(error)
        }
        if case .open = state, codec?.hasEnded == true { fail("closed by nsqd") }
    }

    private func continueLater(_ stream: Stream) {
        stream.stopReading()
        loop.runInNextIteration { [weak self] in
            guard let self, case .open = state else { return }
            stream.startReading()
            processEncoded()
        }
    }

    /// Ends the connection after a failed handshake or invalid bytes, and first tries to send nsqd the
    /// TLS alert.
    private func fail(_ error: TransportError) {
        guard case .open(let writer) = state else { return }
        if !writer.isBlocked {
            codec?.encode(into: &writer.buffer)
            _ = writer.flush()
        }
        fail("\(error)")
    }
}

// MARK: - Writing

extension Connection: IterationEndHandler {
    func handleIterationEnd() {
        isFlushScheduled = false
        flush()
    }

    private func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        loop.callAtIterationEnd(self)
    }

    private func flush() {
        switch state {
        case .open(let writer):
            if !writer.isBlocked { codec?.encode(into: &writer.buffer) }
            if case .failed(let error) = directWriter.flush(writer) { fail(error.description) }
        case .draining(let writer, let closing):
            switch directWriter.flush(writer) {
            case .written: closing.begin()
            case .queued: closing.startTimeout()
            case .failed(let error): fail(error.description)
            }
        case .connecting, .ended: break
        }
    }
}
