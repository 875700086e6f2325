import Transport
import UVLoop

/// One client's connection to a server: requests in, one after the other, answers out.
final class HTTPConnection: StreamReader, EndOfTurnParticipant {
    private unowned let server: HTTPServer
    private unowned let service: any HTTPService
    private let stream: Stream
    private let peer: String
    private let tls: LayeredStream?
    private let parser = HTTPParser(.requests)
    private let output: HTTPOutput

    /// Sent by the client, but not to be looked at before the request at hand is answered.
    private var unread: [UInt8] = []
    /// The request at hand.
    private var exchange: HTTPExchange?
    private var phase = Phase.open
    private var isInTurn = false
    private var isParsing = false
    private var hasPeerEnded = false
    private var lingering: Timer?
    /// Runs until the handshake is done.
    private var handshake: Timer?

    private enum Phase {
        case open
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
        if tls.hasEnded, phase == .open { peerEnded() }
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

    private var canReadOn: Bool {
        let isWaiting = exchange.map {
            $0.stage == .dispatched && ($0.isBodyEnded || !$0.canSkipRest)
        }
        return isWaiting != true && output.unsentBytes < Self.maxUnsentBytes
    }

    /// Goes on after a pause, if there is no other reason for it.
    private func readOn() {
        guard phase == .open, !isParsing, canReadOn else { return }
        parser.resume()
        let bytes = unread
        unread = []
        if !bytes.isEmpty { bytes.withUnsafeBytes(read) }
        if phase == .open, canReadOn { stream.startReading() }
    }

    // MARK: Answering

    private func dispatch(_ exchange: HTTPExchange) {
        exchange.stage = .dispatched
        service.answer(exchange.request) { [weak self, weak exchange] response in
            guard let self, let exchange, self.exchange === exchange else { return }
            self.answer(exchange, response)
            self.finishIfDone(exchange)
        }
    }

    private func answer(_ exchange: HTTPExchange, _ response: HTTPResponse) {
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
    private func finishIfDone(_ exchange: HTTPExchange) {
        guard exchange.stage == .answered, exchange.isBodyEnded, phase == .open else { return }
        self.exchange = nil
        readOn()
    }

    /// Answers something that is no request, or none for us, and hangs up.
    private func refuse(with response: HTTPResponse) {
        if exchange?.stage != .answered {
            write(response, to: exchange?.head, keepsAlive: false)
        }
        exchange = nil
        end()
    }

    // MARK: Out

    private func flushSoon() {
        guard !isInTurn else { return }
        isInTurn = true
        server.loop.atEndOfTurn(self)
    }

    func turnEnds() {
        isInTurn = false
        flush()
    }

    private func flush() {
        guard phase == .open || phase == .ending else { return }
        let isSent = output.flush(to: stream) { [weak self] error in self?.restIsSent(error) }
        guard isSent else { return }
        phase == .ending ? hangUp() : readOn()
    }

    private func restIsSent(_ error: UVError?) {
        error == nil ? flush() : close()
    }

    // MARK: The end

    /// The server stops: whoever waits for an answer gets it first.
    func stop() {
        guard exchange?.stage != .dispatched else { return }
        end()
        closeSoon()
    }

    /// Takes no request any more; closes when what is to be sent is sent.
    private func end() {
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
        exchange = nil
        unread = []
        lingering?.close()
        handshake?.close()
        stream.close { [self, server] in server.connectionClosed(self) }
    }
}

// MARK: - What the parser says

extension HTTPConnection: HTTPParserSink {
    func parserDidRead(_ head: HTTPHead) {
        guard head.version.major == 1 else {
            let isOld = head.version.major == 0
            return refuse(with: isOld ? .plain(400) : .plain(505, "unsupported protocol version"))
        }
        let hosts = head.headers.values(of: "Host").count
        guard hosts == 1 || (hosts == 0 && head.version == .http10) else {
            return refuse(
                with: hosts == 0 ? .plain(400, "missing required Host header") : .plain(400))
        }
        let encodings = head.headers.values(of: "Transfer-Encoding")
        guard encodings.isEmpty || encodings.map({ $0.lowercased() }) == ["chunked"] else {
            return refuse(with: .unknownTransferEncoding)
        }
        guard let target = HTTPTarget(head.target) else { return refuse(with: .plain(400)) }
        let request = HTTPRequest(
            method: head.method, target: target, headers: head.headers,
            bodyLength: head.bodyLength, peer: peer, isEncrypted: tls != nil)
        let exchange = HTTPExchange(head, request)
        self.exchange = exchange
        if head.headers["Expect"] != nil, !exchange.expectsContinue {
            return refuse(with: .plain(417))
        }
        begin(exchange, service.bodyPlan(for: request))
    }

    private func begin(_ exchange: HTTPExchange, _ plan: HTTPBodyPlan) {
        switch plan {
        case .skip: dispatch(exchange)
        case .refuse(let response): answer(exchange, response)
        case .collect(let limit, let tooLarge):
            if case .bytes(let count) = exchange.head.bodyLength, count > limit {
                return answer(exchange, tooLarge)
            }
            exchange.bodyLimit = limit
            exchange.tooLarge = tooLarge
            if exchange.expectsContinue, exchange.head.hasBody {
                exchange.expectsContinue = false
                output.append("HTTP/1.1 100 Continue\r\n\r\n")
                flushSoon()
            }
        }
    }

    func parserDidRead(body bytes: UnsafeRawBufferPointer) {
        guard phase == .open, let exchange else { return }
        if exchange.stage == .collecting {
            guard !exchange.collect(bytes) else { return }
            exchange.request.body = []
            answer(exchange, exchange.tooLarge!)
        } else {
            exchange.skip(bytes.count)
            guard !exchange.canSkipRest else { return }
            // It turns out to be long only now that it comes, in chunks.
            exchange.stage == .answered ? end() : parser.pause()
        }
    }

    func parserDidReadMessage() {
        guard phase == .open, let exchange else { return }
        exchange.isBodyEnded = true
        if exchange.stage == .collecting { dispatch(exchange) }
        finishIfDone(exchange)
        if !canReadOn || phase != .open { parser.pause() }
    }
}

extension HTTPParserError {
    fileprivate var response: HTTPResponse {
        switch self {
        case .malformed: .plain(400)
        case .headTooLarge: .plain(431)
        case .unknownTransferEncoding: .unknownTransferEncoding
        }
    }
}

extension HTTPResponse {
    fileprivate static let unknownTransferEncoding = plain(501, "unsupported transfer encoding")
}
