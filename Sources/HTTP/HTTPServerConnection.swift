import Transport
import UVLoop

/// The server's side of a connection. It processes requests in order, one at a time.
final class HTTPServerConnection: StreamReader, IterationEndHandler {
    private enum State {
        /// The TLS handshake is not complete; the timer limits its duration.
        case handshaking(Timer)
        /// No request is in progress; the server waits for the next request.
        case idle
        /// A request is being received, processed or skipped.
        case exchanging(HTTPServerExchange)
        /// A response body is being streamed until the client disconnects. Received bytes are
        /// discarded.
        case streaming(HTTPResponseStream)
        /// No further request is accepted. The connection closes when all responses are sent. The
        /// associated exchange is the request that the service still processes, if any.
        case ending(HTTPServerExchange?)
        /// All bytes are sent and the write side is shut down; the client has not closed its side
        /// yet.
        case lingering
        case closed
    }

    let service: any HTTPService
    let peer: String
    let isOnLoopback: Bool
    private unowned let server: HTTPServer
    private let stream: Stream
    private let tls: LayeredStream?
    private let parser = HTTPParser(.requests)
    private var output: HTTPOutput!
    private var lingeringClose: LingeringClose!
    private var state: State
    /// Received bytes of further requests, which are parsed after the response to the current
    /// request.
    private var unread: [UInt8] = []
    private var isFlushScheduled = false
    private var isParsing = false
    private var hasPeerEnded = false
    private var deadlines = HTTPDeadlines()

    /// The number of unsent response bytes from which the server stops reading from a connection.
    private static let maxUnsentBytes = 256 << 10
    /// The maximum duration of a TLS handshake, the same as nsqd's for TCP clients.
    private static let handshakeTimeout = Duration.seconds(5)

    init(
        _ stream: Stream, tls: TLSSession?, isOnLoopback: Bool, serving service: any HTTPService,
        of server: HTTPServer
    ) {
        self.stream = stream
        self.tls = tls.map { LayeredStream(tls: $0) }
        self.service = service
        self.server = server
        peer = stream.peerName
        self.isOnLoopback = isOnLoopback
        state = tls == nil ? .idle : .handshaking(Timer(on: stream.loop))
        output = HTTPOutput(to: stream, through: self.tls) { [weak self] error in
            error == nil ? self?.flush() : self?.close()
        }
        lingeringClose = LingeringClose(stream) { [weak self] in self?.close() }
        parser.delegate = self
    }

    func start() {
        stream.reader = self
        stream.startReading()
        deadlines.beginIdle(at: server.loop.nowNanoseconds)
        guard case .handshaking(let timer) = state else { return }
        timer.start(after: Self.handshakeTimeout) { [weak self] in self?.close() }
    }

    /// Sends a response without a request and closes the connection. A TLS connection is closed
    /// without a response, because a response would need a handshake.
    func reject(_ response: HTTPResponse) {
        guard tls == nil else { return close() }
        stream.reader = self
        reject(with: response)
    }

    // MARK: State

    var isEncrypted: Bool { tls != nil }
    var bodyMemory: (any HTTPBodyMemory)? { server.bodyMemory }

    var acceptsRequests: Bool {
        switch state {
        case .handshaking, .idle, .exchanging: true
        case .streaming, .ending, .lingering, .closed: false
        }
    }

    /// The request that is being received, processed or skipped.
    var currentExchange: HTTPServerExchange? {
        if case .exchanging(let exchange) = state { exchange } else { nil }
    }

    /// The request that has no response yet, including the request of the state `ending`.
    private var pendingExchange: HTTPServerExchange? {
        switch state {
        case .exchanging(let exchange): exchange
        case .ending(let exchange): exchange
        default: nil
        }
    }

    func begin(_ exchange: HTTPServerExchange) {
        state = .exchanging(exchange)
        deadlines.beginBody(at: server.loop.nowNanoseconds)
    }

    /// Continues with the next request if `exchange` has its response and its body is read.
    func finishIfComplete(_ exchange: HTTPServerExchange) {
        guard exchange.hasResponse, exchange.isBodyComplete, currentExchange === exchange else {
            return
        }
        state = .idle
        deadlines.beginIdle(at: server.loop.nowNanoseconds)
        resumeReading()
    }

    // MARK: Reading

    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer {
        server.readBuffer
    }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        guard acceptsRequests else { return }
        guard let tls else { return parse(bytes) }
        decode { () throws(TransportError) in try tls.receiveWithoutHandshake(bytes) }
        guard case .handshaking = state else { return }
        stream.stopReading()
        server.handshakeQueue.submit { [weak self] in self?.continueHandshake() }
    }

    private func continueHandshake() {
        guard case .handshaking(let timer) = state, let tls else { return }
        decode { () throws(TransportError) in
            try tls.continueHandshake()
            guard tls.isEstablished else { return }
            timer.close()
            state = .idle
        }
        if acceptsRequests, canContinueReading { stream.startReading() }
    }

    /// Calls `receive`, parses the bytes that it has decrypted, and sends the replies of TLS.
    private func decode(_ receive: () throws(TransportError) -> Void) {
        do throws(TransportError) {
            try receive()
        } catch {
            // The flush sends the TLS alert to the client.
            flush()
            return close()
        }
        scheduleFlush()
        guard let tls, tls.isEstablished else { return }
        if !tls.plain.isEmpty { parse(tls.plain.bytes) }
        tls.plain.clear()
        if acceptsRequests, !canContinueReading { stream.stopReading() }
        endIfTLSHasEnded()
    }

    /// Handles the TLS close_notify alert after all bytes before it are parsed.
    private func endIfTLSHasEnded() {
        guard tls?.hasEnded == true, unread.isEmpty, acceptsRequests else { return }
        peerDidEnd()
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        // The connection has already handled the end of the TLS session.
        if hasPeerEnded, case .ending = state, error == nil { return }
        guard acceptsRequests, error == nil, tls?.isEstablished ?? true else { return close() }
        peerDidEnd()
    }

    /// Handles the end of the client's output. The client may still read the responses to its
    /// requests.
    private func peerDidEnd() {
        hasPeerEnded = true
        do throws(HTTPParserError) {
            try parser.finish()
            endAfterResponses()
        } catch {
            reject(with: .plain(400))
        }
    }

    /// Parses received bytes until a request must be processed, and stores the rest in `unread`.
    private func parse(_ bytes: UnsafeRawBufferPointer) {
        isParsing = true
        if case .idle = state { deadlines.beginHead(at: server.loop.nowNanoseconds) }
        var parsedCount = 0
        do throws(HTTPParserError) {
            parsedCount = try parser.parse(bytes)
        } catch {
            reject(with: error.response)
        }
        isParsing = false
        guard acceptsRequests else { return }
        if parsedCount < bytes.count {
            unread = Array(bytes[parsedCount...])
        }
        if !canContinueReading { stream.stopReading() }
    }

    func pauseParsing() { parser.pause() }

    /// `true` if the connection can read further bytes. `false` while the service processes a request
    /// whose body is complete or too long to skip. Also `false` while too many response bytes are
    /// unsent.
    var canContinueReading: Bool {
        if let exchange = currentExchange, exchange.isProcessing,
            exchange.isBodyComplete || !exchange.canSkipRest
        {
            return false
        }
        return output.unsentByteCount < Self.maxUnsentBytes
    }

    /// Resumes reading if ``canContinueReading`` is `true`. Unparsed bytes are parsed in a later
    /// loop iteration, because the service that has just responded may not accept a request during
    /// its own callback.
    private func resumeReading() {
        guard acceptsRequests, !isParsing, canContinueReading else { return }
        guard !unread.isEmpty else { return continueReading() }
        server.loop.runInNextIteration { [weak self] in self?.continueReading() }
    }

    private func continueReading() {
        guard acceptsRequests, !isParsing, canContinueReading else { return }
        parser.resume()
        let bytes = unread
        unread = []
        if !bytes.isEmpty { bytes.withUnsafeBytes(parse) }
        endIfTLSHasEnded()
        if acceptsRequests, canContinueReading { stream.startReading() }
    }

    // MARK: Deadlines

    /// Closes the connection if its client has exceeded a deadline.
    func checkDeadlines(at now: Int64) {
        let timeouts = server.timeouts
        guard !deadlines.isWriteLate(unsent: stream.queuedByteCount, at: now, timeouts) else {
            return close()
        }
        switch state {
        case .idle:
            if deadlines.isHeadLate(at: now, timeouts) {
                reject(with: .plain(408))
            } else if deadlines.isIdleTooLong(at: now, timeouts) {
                endAfterResponses()
            }
        case .exchanging(let exchange):
            guard !exchange.isBodyComplete, !exchange.isProcessing,
                deadlines.isBodyLate(received: exchange.receivedBytes, at: now, timeouts)
            else { return }
            reject(with: .plain(408))
        case .handshaking, .streaming, .ending, .lingering, .closed: break
        }
    }

    // MARK: Responding

    /// Passes a request to the service, in this or a later loop iteration.
    func dispatch(_ exchange: HTTPServerExchange) {
        exchange.startProcessing()
        server.requests.submit { [weak self, weak exchange] in
            guard let self, let exchange, pendingExchange === exchange else { return }
            process(exchange)
        }
    }

    private func process(_ exchange: HTTPServerExchange) {
        service.respond(to: exchange.request) { [weak self, weak exchange] response in
            guard let self, let exchange, pendingExchange === exchange else { return }
            respond(to: exchange, with: response)
            finishIfComplete(exchange)
        }
    }

    func respond(to exchange: HTTPServerExchange, with response: HTTPResponse) {
        precondition(!exchange.hasResponse, "a request has one response")
        exchange.finishResponse()
        let keepsAlive =
            exchange.head.keepsAlive && exchange.canSkipRest && acceptsRequests
            && !server.isStopping
        write(response, to: exchange.head, keepsAlive: keepsAlive)
        if !keepsAlive {
            endAfterResponses()
            state = .ending(nil)
        }
        if server.isStopping { lingeringClose.startTimeout() }
    }

    /// Responds to something that is not a valid request, and closes the connection.
    func reject(with response: HTTPResponse) {
        let exchange = currentExchange
        if exchange?.hasResponse != true {
            write(response, to: exchange?.head, keepsAlive: false)
        }
        endAfterResponses()
        state = .ending(nil)
    }

    /// Sends `100 Continue`, after which the client sends its body.
    func sendContinue() {
        output.append { $0 += "HTTP/1.1 100 Continue\r\n\r\n".utf8 }
        scheduleFlush()
    }

    private func write(_ response: HTTPResponse, to head: HTTPHead?, keepsAlive: Bool) {
        output.append { bytes in
            response.write(
                to: &bytes, version: head?.version ?? HTTPVersion(major: 1, minor: 1),
                date: server.date, keepsAlive: keepsAlive, withBody: head?.method != "HEAD")
        }
        scheduleFlush()
    }

    /// Sends the response head, and then the chunks of `source` until the client disconnects.
    func stream(
        _ response: HTTPResponse, from source: any HTTPResponseSource,
        to exchange: HTTPServerExchange
    ) {
        let head = exchange.head
        guard head.method != "HEAD", !server.isStopping else {
            source.bodyDidEnd()
            return respond(to: exchange, with: response)
        }
        let isChunked = head.version != .http10
        output.append { bytes in
            response.write(
                to: &bytes, version: head.version, date: server.date, keepsAlive: false,
                withBody: false, length: isChunked ? .chunked : .untilClose)
        }
        parser.pause()
        unread = []
        let body = HTTPResponseStream(of: source, on: stream, isChunked: isChunked) {
            [weak self] error in self?.bodyDidEnd(error)
        }
        state = .streaming(body)
        scheduleFlush()
    }

    private func bodyDidEnd(_ error: UVError?) {
        guard case .streaming = state else { return }
        error == nil ? beginClosing() : close()
    }

    // MARK: Writing

    private func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        server.loop.callAtIterationEnd(self)
    }

    func handleIterationEnd() {
        isFlushScheduled = false
        flush()
    }

    private func flush() {
        switch state {
        case .lingering, .closed: return
        case .handshaking, .idle, .exchanging, .streaming, .ending: break
        }
        switch output.flush() {
        case .queued: return
        case .failed: return close()
        case .written: break
        }
        switch state {
        case .ending(nil): beginClosing()
        case .ending: break
        case .streaming(let body): body.open()
        default: resumeReading()
        }
    }

    // MARK: Closing

    /// Closes the connection because the server stops. If the service processes a request, the
    /// connection closes after its response.
    func stop() {
        if case .streaming(let body) = state {
            lingeringClose.startTimeout()
            return body.end()
        }
        guard pendingExchange?.isProcessing != true else { return }
        endAfterResponses()
        lingeringClose.startTimeout()
    }

    /// Accepts no further request, and closes the connection after all responses are sent.
    func endAfterResponses() {
        guard acceptsRequests else { return }
        let exchange = currentExchange
        if case .handshaking(let timer) = state { timer.close() }
        state = .ending(exchange?.isProcessing == true ? exchange : nil)
        parser.pause()
        unread = []
        scheduleFlush()
    }

    private func beginClosing() {
        if let tls, tls.isEstablished {
            tls.finish()
            _ = output.flush()
        }
        guard !hasPeerEnded else { return close() }
        state = .lingering
        lingeringClose.begin()
    }

    private func close() {
        let last = state
        state = .closed
        switch last {
        case .closed: return
        case .handshaking(let timer): timer.close()
        case .streaming(let body): body.cancel()
        case .idle, .exchanging, .ending, .lingering: break
        }
        unread = []
        lingeringClose.cancel()
        stream.close { [self, server] in server.connectionDidClose(self) }
    }
}
