import Transport
import UVLoop

/// A small HTTP/1.1 client on a loop: a connection for each request, two time limits, and an
/// answer of bounded size. What lookups and authorization need, and no more.
package struct HTTPClient {
    private let loop: Loop
    package var connectTimeout = Duration.seconds(2)
    /// From the connection to the last byte of the answer.
    package var requestTimeout = Duration.seconds(5)
    package var maxAnswerBytes = 1 << 20
    /// Whom to trust where the answer is to come through TLS; asked for only then.
    package var tls: () -> TLSContext? = { nil }

    package init(on loop: Loop) { self.loop = loop }

    /// Asks; `done` is called once, on a later turn.
    @discardableResult
    package func get(
        _ url: HTTPURL, headers: [(name: String, value: String)] = [],
        _ done: @escaping (Result<HTTPAnswer, HTTPClientError>) -> Void
    ) -> HTTPCall {
        start("GET", url, headers, body: nil, done)
    }

    @discardableResult
    package func post(
        _ url: HTTPURL, headers: [(name: String, value: String)] = [], body: [UInt8],
        _ done: @escaping (Result<HTTPAnswer, HTTPClientError>) -> Void
    ) -> HTTPCall {
        start("POST", url, headers, body: body, done)
    }

    private func start(
        _ method: String, _ url: HTTPURL, _ headers: [(name: String, value: String)],
        body: [UInt8]?, _ done: @escaping (Result<HTTPAnswer, HTTPClientError>) -> Void
    ) -> HTTPCall {
        var head = "\(method) \(url.target) HTTP/1.1\r\nHost: \(url.address)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        let request = Array((head + "Connection: close\r\n\r\n").utf8) + (body ?? [])
        let session =
            url.scheme == .https
            ? tls().map { TLSSession($0, serverName: url.address.host) } : nil
        let call = HTTPCall(request, tls: session, limits: self, on: loop, done)
        if url.scheme == .https, session == nil {
            call.failSoon(.tlsFailed("nobody to trust"))
        } else {
            call.start(to: url.address)
        }
        return call
    }
}

package struct HTTPAnswer: Sendable {
    package var status: Int
    package var headers: HTTPHeaders
    package var body: [UInt8]
}

package enum HTTPClientError: Error, Equatable, CustomStringConvertible {
    case connectionFailed(UVError)
    case connectTimedOut
    /// There is no TLS with this server: it cannot be trusted, say.
    case notSecured(TransportError)
    case requestTimedOut
    case answerTooLarge(limit: Int)
    /// It is no HTTP, or ends too early.
    case answerMalformed
    /// There is no agreement, or no trust.
    case tlsFailed(String)

    package var description: String {
        switch self {
        case .connectionFailed(let error): "\(error)"
        case .connectTimedOut: "connection timed out"
        case .notSecured(let error): "\(error)"
        case .requestTimedOut: "no answer in time"
        case .answerTooLarge(let limit): "answer of more than \(limit) bytes"
        case .answerMalformed: "malformed answer"
        case .tlsFailed(let reason): "TLS: \(reason)"
        }
    }
}

/// A client's request that is under way.
package final class HTTPCall: StreamReader {
    private let request: [UInt8]
    private let limits: HTTPClient
    private let loop: Loop
    private let timer: Timer
    private let parser = HTTPParser(.responses)
    private let tls: LayeredStream?
    private let output: HTTPOutput
    private var isRequestSent = false
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)

    private var connecting: Connecting?
    private var stream: Stream?
    private var answer: HTTPAnswer?
    private var done: ((Result<HTTPAnswer, HTTPClientError>) -> Void)?

    init(
        _ request: [UInt8], tls: TLSSession?, limits: HTTPClient, on loop: Loop,
        _ done: @escaping (Result<HTTPAnswer, HTTPClientError>) -> Void
    ) {
        self.request = request
        self.tls = tls.map { LayeredStream(tls: $0) }
        output = HTTPOutput(through: self.tls)
        self.limits = limits
        self.loop = loop
        self.done = done
        timer = Timer(on: loop)
        parser.sink = self
    }

    deinit { buffer.deallocate() }

    /// Gives up: `done` is not called any more.
    package func cancel() {
        done = nil
        close()
    }

    // The timer, the connection and the stream hold the call until it is finished.
    func start(to address: SocketAddress) {
        timer.start(after: limits.connectTimeout) { self.finish(.failure(.connectTimedOut)) }
        connecting = Stream.connect(to: address, on: loop) { result in
            self.connecting = nil
            switch result {
            case .failure(let error): self.finish(.failure(.connectionFailed(error)))
            case .success(let stream): self.send(on: stream)
            }
        }
    }

    func failSoon(_ error: HTTPClientError) {
        loop.inNextTurn { self.finish(.failure(error)) }
    }

    private func send(on stream: Stream) {
        self.stream = stream
        timer.start(after: limits.requestTimeout) { self.finish(.failure(.requestTimedOut)) }
        stream.reader = self
        stream.startReading()
        // Where there is TLS, this begins its handshake.
        receive(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Takes what came through TLS, if there is any, and sends the request once that is possible.
    private func receive(_ bytes: UnsafeRawBufferPointer) {
        do throws(TransportError) {
            try tls?.receive(bytes)
        } catch {
            return finish(.failure(.tlsFailed("\(error)")))
        }
        if !isRequestSent, tls?.isEstablished ?? true {
            isRequestSent = true
            output.append { $0 += request }
        }
        flush()
    }

    private func flush() {
        guard let stream else { return }
        _ = output.flush(to: stream) { [weak self] error in
            if let error { self?.finish(.failure(.connectionFailed(error))) } else { self?.flush() }
        }
    }

    package func readBuffer(
        for stream: Stream, suggested: Int
    ) -> UnsafeMutableRawBufferPointer { buffer }

    package func stream(_ stream: Stream, didRead bytes: UnsafeRawBufferPointer) {
        guard let tls else { return parse(bytes) }
        receive(bytes)
        if !tls.plain.isEmpty { parse(tls.plain.bytes) }
        tls.plain.clear()
        if tls.hasEnded { self.stream(stream, didEnd: nil) }
    }

    private func parse(_ bytes: UnsafeRawBufferPointer) {
        do throws(HTTPParserError) {
            _ = try parser.parse(bytes)
        } catch {
            finish(.failure(.answerMalformed))
        }
    }

    package func stream(_ stream: Stream, didEnd error: UVError?) {
        if let error { return finish(.failure(.connectionFailed(error))) }
        // An answer that does not say how long it is ends with the connection.
        try? parser.finish()
        finish(.failure(.answerMalformed))
    }

    private func finish(_ result: Result<HTTPAnswer, HTTPClientError>) {
        let done = done
        cancel()
        done?(result)
    }

    private func close() {
        parser.pause()
        timer.close()
        connecting?.cancel()
        connecting = nil
        stream?.close()
        stream = nil
    }
}

extension HTTPCall: HTTPParserSink {
    func parserDidRead(_ head: HTTPHead) {
        answer = HTTPAnswer(status: head.status, headers: head.headers, body: [])
        if case .bytes(let count) = head.bodyLength, count > limits.maxAnswerBytes {
            finish(.failure(.answerTooLarge(limit: limits.maxAnswerBytes)))
        }
    }

    func parserDidRead(body bytes: UnsafeRawBufferPointer) {
        guard done != nil else { return }
        answer?.body += bytes
        if answer.map({ $0.body.count > limits.maxAnswerBytes }) == true {
            finish(.failure(.answerTooLarge(limit: limits.maxAnswerBytes)))
        }
    }

    func parserDidReadMessage() {
        // 100 and its like go before the answer.
        guard let answer, answer.status >= 200 else { return }
        finish(.success(answer))
    }
}
