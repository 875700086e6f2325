import Transport
import UVLoop

/// One client's connection to a server: requests in, one after the other, answers out.
final class HTTPConnection: StreamReader, EndOfTurnParticipant {
    unowned let server: HTTPServer
    unowned let service: any HTTPService
    private let stream: Stream
    let peer: String
    let tls: LayeredStream?
    let parser = HTTPParser(.requests)
    let output: HTTPOutput

    /// Sent by the client, but not to be looked at before the request at hand is answered.
    private var unread: [UInt8] = []
    /// The request at hand.
    var exchange: HTTPExchange?
    private(set) var phase = Phase.open
    private var isInTurn = false
    private var isParsing = false
    private var hasPeerEnded = false
    private var lingering: Timer?
    /// Runs until the handshake is done.
    private var handshake: Timer?
    /// The answer that goes on, if there is one.
    private var body: HTTPBodyStream?

    enum Phase {
        case open
        /// An answer goes on until the client leaves; what it sends meanwhile is dropped.
        case streaming
        /// No request is taken any more; close when the answers are sent.
        case ending
        /// All is sent; the client may still be sending, and reading.
        case lingering
        case closed
    }

    /// Nothing more is read from a client that leaves so much of its answers untaken.
    private static let maxUnsentBytes = 256 << 10
    /// How long a client that we hang up on has to read why. A socket that is closed with unread
    /// bytes in it is reset, and the reset can overtake the answer: so we end our half, and drop
    /// what comes until the client ends the other.
    private static let lingerTime = Duration.seconds(1)
    /// As long as nsqd gives a client of the TCP protocol.
    private static let handshakeTime = Duration.seconds(5)

    init(
        _ stream: Stream, tls: TLSSession?, serving service: any HTTPService, of server: HTTPServer
    ) {
        self.stream = stream
        self.tls = tls.map { LayeredStream(tls: $0) }
        output = HTTPOutput(through: self.tls)
        self.service = service
        self.server = server
        peer = stream.peerName
        parser.sink = self
    }

    func start() {
        stream.reader = self
        stream.startReading()
        guard tls != nil else { return }
        handshake = Timer(on: server.loop)
        handshake?.start(after: Self.handshakeTime) { [weak self] in self?.close() }
    }

    /// Answers before anything was asked, and hangs up; where TLS would have to come first, without
    /// a word.
    func turnAway(with response: HTTPResponse) {
        guard tls == nil else { return close() }
        stream.reader = self
        refuse(with: response)
    }

    // MARK: In

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer {
        server.readBuffer
    }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        guard phase == .open else { return }
        guard let tls else { return read(bytes) }
        do throws(TransportError) {
            try tls.receive(bytes)
        } catch {
            // The peer is told what its TLS has to say of that.
            flush()
            return close()
        }
        decrypted(tls)
    }

    private func decrypted(_ tls: LayeredStream) {
        flushSoon()
        guard tls.isEstablished else { return }
        handshake?.close()
        handshake = nil
        if !tls.plain.isEmpty { read(tls.plain.bytes) }
        tls.plain.clear()
        endIfTLSHas()
    }

    /// Nothing more comes through TLS, and all that came is read.
    private func endIfTLSHas() {
        guard tls?.hasEnded == true, unread.isEmpty, phase == .open else { return }
        peerEnded()
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        // Its TLS has said so before.
        if hasPeerEnded, phase == .ending, error == nil { return }
        guard phase == .open, error == nil, tls?.isEstablished ?? true else { return close() }
        peerEnded()
    }

    /// It may still be reading the answers to what it sent before.
    private func peerEnded() {
        hasPeerEnded = true
        do throws(HTTPParserError) {
            try parser.finish()
            end()
        } catch {
            refuse(with: .plain(400))
        }
    }

    /// Reads as far as the requests can be answered, and keeps the rest.
    private func read(_ bytes: UnsafeRawBufferPointer) {
        isParsing = true
        var taken = 0
        do throws(HTTPParserError) {
            taken = try parser.parse(bytes)
        } catch {
            refuse(with: error.response)
        }
        isParsing = false
        guard phase == .open else { return }
        if taken < bytes.count {
            unread = Array(bytes[taken...])
        }
        if !canReadOn { stream.stopReading() }
    }

    var canReadOn: Bool {
        let isWaiting = exchange.map {
            $0.stage == .dispatched && ($0.isBodyEnded || !$0.canSkipRest)
        }
        return isWaiting != true && output.unsentBytes < Self.maxUnsentBytes
    }

    /// Goes on after a pause, if there is no other reason for it. What came before the pause is
    /// looked at in a turn of its own: the service that has just answered may be at the end of one,
    /// when it takes no request.
    private func readOnSoon() {
        guard phase == .open, !isParsing, canReadOn else { return }
        guard !unread.isEmpty else { return readOn() }
        server.loop.inNextTurn { [weak self] in self?.readOn() }
    }

    private func readOn() {
        guard phase == .open, !isParsing, canReadOn else { return }
        parser.resume()
        let bytes = unread
        unread = []
        if !bytes.isEmpty { bytes.withUnsafeBytes(read) }
        endIfTLSHas()
        if phase == .open, canReadOn { stream.startReading() }
    }

    // MARK: Answering

    func dispatch(_ exchange: HTTPExchange) {
        exchange.stage = .dispatched
        service.answer(exchange.request) { [weak self, weak exchange] response in
            guard let self, let exchange, self.exchange === exchange else { return }
            self.answer(exchange, response)
            self.finishIfDone(exchange)
        }
    }

    func answer(_ exchange: HTTPExchange, _ response: HTTPResponse) {
        precondition(exchange.stage != .answered, "a request is answered once")
        exchange.stage = .answered
        let keepsAlive =
            exchange.head.keepsAlive && exchange.canSkipRest && phase == .open
            && !server.isStopping
        write(response, to: exchange.head, keepsAlive: keepsAlive)
        if !keepsAlive {
            end()
            self.exchange = nil
        }
        if server.isStopping { closeSoon() }
    }

    private func write(_ response: HTTPResponse, to head: HTTPHead?, keepsAlive: Bool) {
        output.append { bytes in
            response.write(
                to: &bytes, version: head?.version ?? HTTPVersion(major: 1, minor: 1),
                date: server.date, keepsAlive: keepsAlive, withBody: head?.method != "HEAD")
        }
        flushSoon()
    }

    /// The request is read and answered: on to the next one.
    func finishIfDone(_ exchange: HTTPExchange) {
        guard exchange.stage == .answered, exchange.isBodyEnded, phase == .open else { return }
        self.exchange = nil
        readOnSoon()
    }

    /// Answers something that is no request, or none for us, and hangs up.
    func refuse(with response: HTTPResponse) {
        if exchange?.stage != .answered {
            write(response, to: exchange?.head, keepsAlive: false)
        }
        exchange = nil
        end()
    }

    // MARK: Answers that go on

    func stream(
        _ response: HTTPResponse, from source: any HTTPBodySource, to exchange: HTTPExchange
    ) {
        let head = exchange.head
        guard head.method != "HEAD", !server.isStopping else {
            source.bodyEnded()
            return answer(exchange, response)
        }
        let isChunked = head.version != .http10
        output.append { bytes in
            response.write(
                to: &bytes, version: head.version, date: server.date, keepsAlive: false,
                withBody: false, length: isChunked ? .inChunks : .untilTheEnd)
        }
        phase = .streaming
        parser.pause()
        unread = []
        self.exchange = nil
        body = HTTPBodyStream(of: source, on: stream, isChunked: isChunked) { [weak self] error in
            self?.bodyEnded(error)
        }
        flushSoon()
    }

    private func bodyEnded(_ error: UVError?) {
        guard phase == .streaming else { return }
        body = nil
        error == nil ? hangUp() : close()
    }

    // MARK: Out

    func flushSoon() {
        guard !isInTurn else { return }
        isInTurn = true
        server.loop.atEndOfTurn(self)
    }

    func turnEnds() {
        isInTurn = false
        flush()
    }

    private func flush() {
        guard phase == .open || phase == .ending || phase == .streaming else { return }
        let isSent = output.flush(to: stream) { [weak self] error in self?.restIsSent(error) }
        guard isSent else { return }
        switch phase {
        case .ending: hangUp()
        case .streaming: body?.open()
        default: readOnSoon()
        }
    }

    private func restIsSent(_ error: UVError?) {
        error == nil ? flush() : close()
    }

    // MARK: The end

    /// The server stops: whoever waits for an answer gets it first.
    func stop() {
        if let body {
            closeSoon()
            return body.end()
        }
        guard exchange?.stage != .dispatched else { return }
        end()
        closeSoon()
    }

    /// Takes no request any more; closes when what is to be sent is sent.
    func end() {
        guard phase == .open else { return }
        phase = .ending
        parser.pause()
        unread = []
        if exchange?.stage != .dispatched { exchange = nil }
        flushSoon()
    }

    private func hangUp() {
        guard exchange == nil else { return }
        if tls?.isEstablished == true {
            tls?.finish()
            _ = output.flush(to: stream) { _ in }
        }
        guard !hasPeerEnded else { return close() }
        phase = .lingering
        stream.shutdown()
        stream.startReading()
        closeSoon()
    }

    private func closeSoon() {
        guard lingering == nil else { return }
        let timer = Timer(on: server.loop)
        lingering = timer
        timer.start(after: Self.lingerTime) { [weak self] in self?.close() }
    }

    private func close() {
        guard phase != .closed else { return }
        phase = .closed
        body?.cancel()
        body = nil
        exchange = nil
        unread = []
        lingering?.close()
        handshake?.close()
        stream.close { [self, server] in server.connectionClosed(self) }
    }
}
