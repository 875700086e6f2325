import NSQWire
import UVLoop

/// Who a connection belongs to, and hears from it.
protocol ConnectionOwner: AnyObject {
    /// nsqd has agreed to everything; now it is of use.
    func connectionEstablished(_ connection: Connection)

    /// Messages came, their frames beginning at `offsets` in `block`.
    func connection(_ connection: Connection, received offsets: [UInt32], in block: ReadBlock)

    /// What nsqd said of our commands; never `.none` or `.established`.
    func connection(_ connection: Connection, heard event: ClientSession.Event)

    /// It is over, once and for all. `error` is nil if that was our wish.
    func connectionEnded(_ connection: Connection, _ error: NSQError?)
}

/// One TCP connection to one nsqd, from the first attempt to the close.
///
/// What is written in a turn of the loop goes out in one write at its end.
final class Connection {
    private enum State { case connecting, open, draining, ended }

    let loop: Loop
    let address: SocketAddress
    let identify: Identify
    let options: ClientOptions
    weak var owner: (any ConnectionOwner)?

    private(set) var session: ClientSession
    private var state = State.connecting
    private var connecting: Connecting?
    private var stream: Stream?
    private let timer: Timer
    private var intake: Intake
    private var out: [UInt8] = []
    private var writesAtEndOfTurn = false
    private var isWriteQueued = false

    /// A buffer that once grew beyond this is given back after the write.
    private static let mostKeptBytes = 1 << 20

    /// How long nsqd may take to close its side after we have closed ours.
    private static let farewell = Duration.seconds(1)

    init(
        on loop: Loop, to address: SocketAddress, as role: ClientSession.Role, identify: Identify,
        options: ClientOptions, owner: any ConnectionOwner
    ) {
        self.loop = loop
        self.address = address
        self.identify = identify
        self.options = options
        self.owner = owner
        session = ClientSession(role, heartbeatInterval: options.heartbeatInterval)
        timer = Timer(on: loop)
        intake = Intake(largestFrameBytes: options.largestFrameBytes)
    }

    var isEstablished: Bool {
        state == .open && (session.phase == .established || session.phase == .closing)
    }

    func start() {
        timer.start(after: options.connectTimeout) { [weak self] in
            guard let self else { return }
            self.fail("no answer within \(self.options.connectTimeout)")
        }
        connecting = Stream.connect(to: address, on: loop) { [weak self] result in
            switch (result, self) {
            case (.success(let stream), let self?): self.opened(stream)
            case (.success(let stream), nil): stream.close()
            case (.failure(let error), let self): self?.fail(error.description)
            }
        }
    }

    /// Writes commands; they leave at the end of the turn.
    func write(_ append: (inout [UInt8]) -> Void) {
        guard state == .open else { return }
        append(&out)
        writeAtEndOfTurn()
    }

    /// `CLS`: asks for no more messages.
    func close() {
        guard state == .open else { return }
        session.close(into: &out)
        writeAtEndOfTurn()
    }

    /// Ends the connection once all that was written is out and nsqd has seen it.
    func drain() {
        switch state {
        case .connecting: end(nil)
        case .open:
            state = .draining
            flush()
            stream?.shutdown()
            timer.start(after: Self.farewell) { [weak self] in self?.end(nil) }
        case .draining, .ended: break
        }
    }

    /// Ends the connection here and now, over something its owner has seen.
    func fail(_ reason: String) {
        end(error(reason))
    }

    private func opened(_ stream: Stream) {
        guard state == .connecting else { return stream.close() }
        connecting = nil
        state = .open
        self.stream = stream
        stream.noDelay(true)
        stream.reader = self
        stream.startReading()
        session.open(identify, into: &out, atNanoseconds: loop.nowNanoseconds)
        writeAtEndOfTurn()
    }

    /// Without a connection that was ever of use, nsqd was not reached.
    private func error(_ reason: String) -> NSQError {
        switch session.phase {
        case .unopened, .identifying, .subscribing:
            .unreachable(address: address.description, reason: reason)
        case .established, .closing, .closed:
            .connectionLost(address: address.description, reason: reason)
        }
    }

    private func end(_ error: NSQError?) {
        guard state != .ended else { return }
        state = .ended
        timer.close()
        connecting?.cancel()
        connecting = nil
        stream?.close()
        stream = nil
        out = []
        owner?.connectionEnded(self, error)
    }
}

// MARK: - Reading

extension Connection: StreamReader {
    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer {
        intake.room()
    }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        // While draining nothing is expected, and what comes is read over.
        guard state == .open else { return }
        intake.took(bytes.count)
        session.heard(atNanoseconds: loop.nowNanoseconds)
        do throws(FrameError) {
            try takeFrames()
        } catch {
            fail("sent what is no frame: \(error)")
        }
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        if state == .draining { return end(nil) }
        fail(error?.description ?? "closed by nsqd")
    }

    /// Hands messages out in runs, each before the answer that follows it.
    private func takeFrames() throws(FrameError) {
        var more = true
        while more, state == .open {
            var offsets: [UInt32] = []
            let frame = try intake.collectMessages(into: &offsets)
            more = frame != nil
            if !offsets.isEmpty {
                guard isEstablished else { return fail("sent messages nobody asked for") }
                owner?.connection(self, received: offsets, in: intake.currentBlock)
            }
            if let frame, state == .open { take(frame) }
        }
    }

    private func take(_ frame: ReceivedFrame) {
        do throws(ClientSession.Failure) {
            let event = try session.receive(frame.kind, frame.data, into: &out)
            if !out.isEmpty { writeAtEndOfTurn() }
            switch event {
            case .none: break
            case .established: established()
            default: owner?.connection(self, heard: event)
            }
        } catch {
            refuse(error)
        }
    }

    private func established() {
        let interval = options.heartbeatInterval
        timer.start(after: interval, repeating: interval) { [weak self] in
            guard let self, self.session.isSilent(atNanoseconds: self.loop.nowNanoseconds) else {
                return
            }
            self.fail("no heartbeat for \(interval * 2)")
        }
        owner?.connectionEstablished(self)
    }

    private func refuse(_ failure: ClientSession.Failure) {
        switch failure {
        case .refused(let answer):
            end(.refused(address: address.description, answer: answer))
        case .unexpected(let answer): fail("did not expect “\(answer)”")
        case .needsAuthentication: fail("asks for AUTH, which this client does not speak")
        }
    }
}

// MARK: - Writing

extension Connection: EndOfTurnParticipant {
    func turnEnds() {
        writesAtEndOfTurn = false
        flush()
    }

    private func writeAtEndOfTurn() {
        guard !writesAtEndOfTurn else { return }
        writesAtEndOfTurn = true
        loop.atEndOfTurn(self)
    }

    private func flush() {
        guard let stream, !isWriteQueued, !out.isEmpty else { return }
        let outcome = out.withUnsafeBytes { bytes in
            withUnsafePointer(to: IOSlice(bytes)) { slice in
                stream.tryWrite(UnsafeBufferPointer(start: slice, count: 1))
            }
        }
        switch outcome {
        case .wrote(let count):
            if count < out.count { queueRest(from: count, on: stream) }
            out.removeAll(keepingCapacity: out.capacity <= Self.mostKeptBytes)
        case .failed(let error): fail(error.description)
        }
    }

    /// The kernel is full. What is left moves to memory that stays in place until it is written;
    /// meanwhile new commands gather behind it.
    private func queueRest(from start: Int, on stream: Stream) {
        let rest = UnsafeMutableRawBufferPointer.allocate(
            byteCount: out.count - start, alignment: 1)
        out.withUnsafeBytes {
            rest.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start...]))
        }
        isWriteQueued = true
        withUnsafePointer(to: IOSlice(UnsafeRawBufferPointer(rest))) { slice in
            stream.write(UnsafeBufferPointer(start: slice, count: 1)) { error in
                rest.deallocate()
                self.isWriteQueued = false
                if let error { self.fail(error.description) } else { self.flush() }
            }
        }
    }
}
