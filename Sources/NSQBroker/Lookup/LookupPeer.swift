import HTTP
import Logging
import NSQWire
import UVLoop

/// One nsqlookupd, and the connection to it: renewed for as long as it is wanted.
///
/// nsqd waits for each answer where it tells of a change, and notices a lost connection only then.
/// Here nobody waits, and a new connection is tried at once and then ever more rarely.
final class LookupPeer: StreamReader {
    let address: String
    private unowned let lookup: Lookup
    private let loop: Loop
    private var connecting: Connecting?
    private var stream: Stream?
    private var conversation: LookupConversation?
    /// Ends what takes too long, and begins what is due: a PING, another try.
    private let timer: Timer
    private let patience: Duration
    private var retryDelay = LookupPeer.shortestRetryDelay
    private var isClosed = false

    /// What it said of itself last.
    private(set) var answer: LookupAnswer?

    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)

    /// nsqd's.
    private static let pingInterval = Duration.seconds(15)
    private static let shortestRetryDelay = Duration.milliseconds(250)

    init(at address: String, of lookup: Lookup, on loop: Loop) {
        self.address = address
        self.lookup = lookup
        self.loop = loop
        patience = lookup.patience
        timer = Timer(on: loop)
    }

    deinit { buffer.deallocate() }

    /// Where it is asked for the channels of a topic, if it has said so.
    var httpAddress: SocketAddress? {
        guard let answer, !answer.broadcastAddress.isEmpty else { return nil }
        return SocketAddress(host: answer.broadcastAddress, port: answer.httpPort)
    }

    func close() {
        isClosed = true
        hangUp()
        timer.close()
    }

    // MARK: Connecting

    func connect() {
        let place: SocketAddress
        do throws(MalformedAddress) {
            place = try SocketAddress(parsing: address)
        } catch {
            return log(.error, "\(error)")
        }
        timer.start(after: patience) { [weak self] in self?.fail("connection timed out") }
        connecting = Stream.connect(to: place, on: loop) { [weak self] result in
            switch result {
            case .success(let stream): self?.connected(stream) ?? stream.close()
            case .failure(let error): self?.fail("\(error)")
            }
        }
    }

    private func connected(_ stream: Stream) {
        connecting = nil
        self.stream = stream
        stream.reader = self
        stream.startReading()
        conversation = LookupConversation(as: lookup.identity)
        goOn()
    }

    private func fail(_ reason: String) {
        guard !isClosed else { return }
        log(.error, reason)
        hangUp()
        timer.start(after: retryDelay) { [weak self] in self?.connect() }
        retryDelay = min(retryDelay * 2, Self.pingInterval)
    }

    private func hangUp() {
        connecting?.cancel()
        connecting = nil
        stream?.close()
        stream = nil
        conversation = nil
    }

    // MARK: Talking

    /// Tells of a change.
    func say(_ command: LookupCommand) {
        do throws(LookupConversation.Failure) {
            try conversation?.say(command)
        } catch {
            return fail("\(error)")
        }
        if conversation?.underWay == nil { goOn() }
    }

    /// Sends what is next, or else waits until it is time for a PING.
    private func goOn() {
        guard conversation?.underWay == nil else { return }
        guard let bytes = conversation?.next() else {
            return timer.start(after: Self.pingInterval) { [weak self] in self?.say(.ping) }
        }
        timer.start(after: patience) { [weak self] in self?.fail("no answer in time") }
        let outcome = bytes.withUnsafeBytes { bytes in
            withUnsafePointer(to: IOSlice(bytes)) {
                stream?.tryWrite(UnsafeBufferPointer(start: $0, count: 1))
            }
        }
        // A command is small, and nothing else is on its way: there is always room for it.
        if outcome != .wrote(bytes.count) { fail("takes nothing") }
    }

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        do throws(LookupConversation.Failure) {
            let outcomes = try conversation?.receive(bytes) { lookup.registrations }
            for outcome in outcomes ?? [] { note(outcome) }
        } catch {
            return fail("\(error)")
        }
        goOn()
    }

    private func note(_ outcome: LookupConversation.Outcome) {
        switch outcome {
        case .identified(let answer):
            self.answer = answer
            retryDelay = Self.shortestRetryDelay
            log(.info, "peer info \(answer)")
            if answer.broadcastAddress.isEmpty { log(.error, "no broadcast address") }
            lookup.peersChanged()
        case .refused(let command, let answer): log(.error, "\(command) - \(answer)")
        }
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        fail(error.map { "\($0)" } ?? "connection closed")
    }

    private func log(_ level: Logger.Level, _ text: String) {
        lookup.logger.log(level: level, "LOOKUPD(\(address)): \(text)")
    }
}
