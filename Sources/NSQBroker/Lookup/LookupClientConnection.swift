import Logging
import NSQWire
import TallyBasics
import UVLoop

/// The connection to one nsqlookupd, with reconnection after failures.
///
/// nsqd blocks until each response arrives, and detects a lost connection only when it sends the next
/// command. This class never blocks. It reconnects without waiting for the next command, after a
/// delay that grows with each failure.
final class LookupClientConnection: StreamReader {
    /// The address of the nsqlookupd as in the options, `host:port`.
    let address: String
    private unowned let lookup: LookupRegistrar
    private let loop: Loop
    private var connecting: Connecting?
    private var writer: StreamWriter?
    private var session: LookupClientSession?
    /// Measures the timeout of a connection attempt or response, the interval of PINGs, or the
    /// delay before the next attempt.
    private let timer: Timer
    private let timeout: Duration
    private var backoff = Backoff(
        from: .milliseconds(250), upTo: LookupClientConnection.pingInterval, jitterSeed: nil)
    private var isClosed = false

    /// The latest response to IDENTIFY.
    private(set) var response: LookupResponse?

    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    /// The interval of PINGs, which is nsqd's, and the maximum delay before a connection attempt.
    private static let pingInterval = Duration.seconds(15)

    init(at address: String, of lookup: LookupRegistrar, on loop: Loop) {
        self.address = address
        self.lookup = lookup
        self.loop = loop
        timeout = lookup.timeout
        timer = Timer(on: loop)
    }

    deinit { buffer.deallocate() }

    /// The address of this nsqlookupd's HTTP API; `nil` before its first response to IDENTIFY.
    var httpAddress: SocketAddress? {
        guard let response, !response.broadcastAddress.isEmpty else { return nil }
        return SocketAddress(host: response.broadcastAddress, validating: response.httpPort)
    }

    /// Closes the connection and does not reconnect.
    func close() {
        isClosed = true
        disconnect()
        timer.close()
    }

    // MARK: Connecting

    /// Connects, and reconnects after each failure until ``close()``.
    func connect() {
        let peerAddress: SocketAddress
        do throws(MalformedAddress) {
            peerAddress = try SocketAddress(parsing: address)
        } catch {
            return log(.error, "\(error)")
        }
        timer.start(after: timeout) { [weak self] in self?.fail("connection timed out") }
        connecting = Stream.connect(to: peerAddress, on: loop) { [weak self] result in
            switch result {
            case .success(let stream): self?.didConnect(stream) ?? stream.close()
            case .failure(let error): self?.fail("\(error)")
            }
        }
    }

    private func didConnect(_ stream: Stream) {
        connecting = nil
        writer = StreamWriter(stream) { [weak self] error in
            if let error { self?.fail("\(error)") }
        }
        stream.reader = self
        stream.startReading()
        session = LookupClientSession(as: lookup.identity)
        sendNext()
    }

    private func fail(_ reason: String) {
        guard !isClosed else { return }
        log(.error, reason)
        disconnect()
        timer.start(after: backoff.nextDelay()) { [weak self] in self?.connect() }
    }

    private func disconnect() {
        connecting?.cancel()
        connecting = nil
        writer?.stream.close()
        writer = nil
        session = nil
    }

    // MARK: Commands

    /// Sends a command after the queued commands.
    func enqueue(_ command: LookupCommand) {
        do throws(LookupClientSession.Failure) {
            try session?.enqueue(command)
        } catch {
            return fail("\(error)")
        }
        sendNext()
    }

    /// Sends the next command, or schedules a PING if there is none.
    private func sendNext() {
        guard let writer, session?.pendingCommand == nil else { return }
        guard let bytes = session?.nextCommand() else {
            return timer.start(after: Self.pingInterval) { [weak self] in self?.enqueue(.ping) }
        }
        timer.start(after: timeout) { [weak self] in self?.fail("response timed out") }
        writer.buffer += bytes
        if case .failed(let error) = writer.flush() { fail("\(error)") }
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        do throws(LookupClientSession.Failure) {
            let outcomes = try session?.receive(bytes) { lookup.registrations }
            for outcome in outcomes ?? [] { handle(outcome) }
        } catch {
            return fail("\(error)")
        }
        sendNext()
    }

    private func handle(_ outcome: LookupClientSession.Outcome) {
        switch outcome {
        case .identified(let response):
            self.response = response
            backoff.reset()
            log(.info, "peer info \(response)")
            if response.broadcastAddress.isEmpty { log(.error, "no broadcast address") }
            lookup.peersChanged()
        case .refused(let command, let response): log(.error, "\(command) - \(response)")
        }
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        fail(error.map { "\($0)" } ?? "connection closed")
    }

    private func log(_ level: Logger.Level, _ text: String) {
        lookup.logger.log(level: level, "LOOKUPD(\(address)): \(text)")
    }
}
