/// Handles the head, the body and the end of a request.
extension HTTPServerConnection: HTTPParserDelegate {
    func parserDidRead(_ head: HTTPHead) {
        if let rejection = Self.rejection(of: head) { return reject(with: rejection) }
        guard let target = HTTPTarget(head.target) else { return reject(with: .plain(400)) }
        let request = HTTPRequest(
            method: head.method, target: target, headers: head.headers,
            bodyLength: head.bodyLength, peer: peer, isEncrypted: isEncrypted,
            isOnLoopback: isOnLoopback)
        let exchange = HTTPServerExchange(head, request, memory: bodyMemory)
        begin(exchange)
        if head.headers["Expect"] != nil, !exchange.expectsContinue {
            return reject(with: .plain(417))
        }
        follow(service.bodyPlan(for: request), for: exchange)
    }

    /// Returns the error response to a head that violates HTTP/1.1, and `nil` for a valid head.
    private static func rejection(of head: HTTPHead) -> HTTPResponse? {
        // The parser reports a request line without a version as version 0.9.
        guard head.version != HTTPVersion(major: 0, minor: 9) else { return .plain(400) }
        guard head.version.major == 1 else { return .plain(505, "unsupported protocol version") }
        let hosts = head.headers.values(of: "Host").count
        guard hosts == 1 || (hosts == 0 && head.version == .http10) else {
            return hosts == 0 ? .plain(400, "missing required Host header") : .plain(400)
        }
        guard head.version != .http10 else { return nil }
        let encodings = head.headers.values(of: "Transfer-Encoding")
        guard encodings.isEmpty || encodings.map({ $0.lowercased() }) == ["chunked"] else {
            return .unknownTransferEncoding
        }
        return nil
    }

    private func follow(_ plan: HTTPBodyPlan, for exchange: HTTPServerExchange) {
        switch plan {
        case .skip: dispatch(exchange)
        case .refuse(let response): respond(to: exchange, with: response)
        case .stream(let response, let source): stream(response, from: source, to: exchange)
        case .collect(let limit, let tooLarge):
            if case .bytes(let count) = exchange.head.bodyLength, count > limit {
                return respond(to: exchange, with: tooLarge)
            }
            if exchange.startCollecting(limit: limit, tooLarge: tooLarge) { sendContinue() }
        }
    }

    func parserDidRead(body bytes: UnsafeRawBufferPointer) {
        guard let exchange = currentExchange else { return }
        if let tooLarge = exchange.receive(bytes) {
            return respond(to: exchange, with: tooLarge)
        }
        guard !exchange.canSkipRest else { return }
        // The length of a chunked body is unknown until it is received, so the limit for skipping
        // is checked here.
        switch exchange.stage {
        case .received, .collecting: break
        case .processing: pauseParsing()
        case .responded: endAfterResponses()
        }
    }

    func parserDidReadMessage() {
        guard let exchange = currentExchange else { return }
        exchange.isBodyComplete = true
        if case .collecting = exchange.stage { dispatch(exchange) }
        finishIfComplete(exchange)
        if !acceptsRequests || !canContinueReading { pauseParsing() }
    }
}

extension HTTPParserError {
    var response: HTTPResponse {
        switch self {
        case .malformed: .plain(400)
        case .requestLineTooLong: .plain(414)
        case .invalidHeaderName: .plain(400, "invalid header name")
        case .headTooLarge: .plain(431)
        case .unknownTransferEncoding: .unknownTransferEncoding
        }
    }
}

extension HTTPResponse {
    fileprivate static let unknownTransferEncoding = plain(501, "unsupported transfer encoding")
}
