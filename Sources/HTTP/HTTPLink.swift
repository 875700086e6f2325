import Transport
import UVLoop

/// Whom a link belongs to.
protocol HTTPLinkOwner: AnyObject {
    /// It is connected, and secured if it is to be.
    func linkIsReady()
    /// An answer is there to its end; `isKept` if another request may follow.
    func linkAnswered(status: Int, isKept: Bool)
    /// It is over; `hasAnswered` if a part of an answer has come.
    func linkEnded(_ error: HTTPClientError, hasAnswered: Bool)
}

/// One connection of a session: bytes to requests and answers, through TLS if there is any.
final class HTTPLink {
    private enum Phase { case connecting, securing, ready, ended }

    private let loop: Loop
    private let layers: LayeredStream
    private weak var owner: (any HTTPLinkOwner)?
    private let parser = HTTPParser(.responses)
    private let output = HTTPOutput()
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)
    private var phase = Phase.connecting
    private var connecting: Connecting?
    private var stream: Stream?
    private var head: HTTPHead?
    /// Bytes of an answer have come, and not its end.
    private var hasAnswered = false
    private var answerBytes = 0

    /// Longer answers are cut off, and the connection with them: only the status is of interest.
    private static let mostAnswerBytes = 1 << 20

    init(on loop: Loop, tls: TLSSession?, owner: any HTTPLinkOwner) {
        self.loop = loop
        self.owner = owner
        layers = LayeredStream(tls: tls)
        parser.sink = self
    }

    deinit { buffer.deallocate() }

    var isReady: Bool { phase == .ready }

    func start(to address: SocketAddress) {
        connecting = Stream.connect(to: address, on: loop) { [weak self] result in
            switch (result, self) {
            case (.success(let stream), let self?): self.connected(stream)
            case (.success(let stream), nil): stream.close()
            case (.failure(let error), let self): self?.end(.connectionFailed(error))
            }
        }
    }

    func send(_ request: [UInt8]) {
        request.withUnsafeBytes { layers.send($0) }
        layers.flush()
        sendWire()
    }

    /// Ends it without a word to its owner.
    func close() {
        owner = nil
        end(.answerMalformed)
    }

    private func connected(_ stream: Stream) {
        connecting = nil
        self.stream = stream
        stream.noDelay(true)
        stream.reader = self
        stream.startReading()
        phase = .securing
        receive(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) {
        do throws(TransportError) {
            try layers.receive(bytes)
        } catch {
            sendWire()
            return end(.notSecured(error))
        }
        sendWire()
        if phase == .securing, layers.isEstablished {
            phase = .ready
            owner?.linkIsReady()
        }
        parse()
        if layers.hasEnded { ended(nil) }
    }

    private func parse() {
        let plain = layers.plain
        guard phase == .ready, !plain.isEmpty else { return }
        hasAnswered = true
        do throws(HTTPParserError) {
            _ = try parser.parse(plain.bytes)
            plain.clear()
        } catch {
            end(.answerMalformed)
        }
    }

    private func sendWire() {
        guard let stream, !layers.wire.isEmpty else { return }
        output.append { $0 += layers.wire.bytes }
        layers.wire.clear()
        _ = output.flush(to: stream) { [weak self] error in
            guard let self else { return }
            if let error { end(.connectionFailed(error)) } else { sendWire() }
        }
    }

    /// The server has closed it. An answer that does not say how long it is ends with that.
    private func ended(_ error: UVError?) {
        if let error { return end(.connectionFailed(error)) }
        if hasAnswered { try? parser.finish() }
        end(.answerMalformed)
    }

    private func end(_ error: HTTPClientError) {
        guard phase != .ended else { return }
        phase = .ended
        parser.pause()
        connecting?.cancel()
        stream?.close()
        stream = nil
        owner?.linkEnded(error, hasAnswered: hasAnswered)
    }
}

extension HTTPLink: StreamReader {
    func readBuffer(for stream: Stream, suggested: Int) -> UnsafeMutableRawBufferPointer { buffer }

    func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        receive(bytes)
    }

    func stream(_ stream: Stream, didEnd error: UVError?) {
        ended(error)
    }
}

extension HTTPLink: HTTPParserSink {
    func parserDidRead(_ head: HTTPHead) {
        self.head = head
    }

    func parserDidRead(body bytes: UnsafeRawBufferPointer) {
        answerBytes += bytes.count
        guard answerBytes > Self.mostAnswerBytes, let head else { return }
        owner?.linkAnswered(status: head.status, isKept: false)
    }

    func parserDidReadMessage() {
        // 100 and its like go before the answer.
        guard let head, head.status >= 200 else { return }
        self.head = nil
        hasAnswered = false
        answerBytes = 0
        owner?.linkAnswered(status: head.status, isKept: head.keepsAlive)
    }
}
