/// What the parser says: a request's head, its body, its end.
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
        case .stream(let response, let source): stream(response, from: source, to: exchange)
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
    var response: HTTPResponse {
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
