/// One request, with its body once that was asked for and has come.
package struct HTTPRequest: Sendable {
    package let method: String
    package let target: HTTPTarget
    package let headers: HTTPHeaders
    package let bodyLength: HTTPHead.BodyLength
    /// Who asks, as `host:port`.
    package let peer: String
    /// It came through TLS.
    package let isEncrypted: Bool
    package internal(set) var body: [UInt8] = []
}

/// What is to become of a request's body. Said when its head is there, before the body is read.
package enum HTTPBodyPlan {
    /// Collect it. One of more than `limit` bytes is refused with `tooLarge`: before any of it is
    /// read if it says how long it is.
    case collect(limit: Int, tooLarge: HTTPResponse)
    /// Nobody wants it: the request is answered without.
    case skip
    /// Answer at once with this; there is nothing to be done.
    case refuse(HTTPResponse)
    /// Answer at once with this head, and go on with what the source gives, until the client
    /// leaves or the server stops. The connection takes no other request.
    case stream(HTTPResponse, any HTTPBodySource)
}

/// An answer.
package struct HTTPResponse: Sendable {
    package var status: Int
    /// Besides `Date`, `Content-Length` and `Connection`, which the server writes.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(
        status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// How the client knows where the body ends.
    enum Length {
        case known
        case inChunks
        /// When the connection does: all that HTTP/1.0 has.
        case untilTheEnd
    }

    /// Text of the server's own, for what never comes to a service.
    static func plain(_ status: Int, _ detail: String? = nil) -> HTTPResponse {
        let text = "\(status) \(reason(of: status))" + (detail.map { ": \($0)" } ?? "")
        return HTTPResponse(
            status: status, headers: [("Content-Type", "text/plain; charset=utf-8")],
            body: Array(text.utf8))
    }

    /// Appends the answer as it goes over the wire.
    func write(
        to output: inout [UInt8], version: HTTPVersion, date: String, keepsAlive: Bool,
        withBody: Bool, length: Length = .known
    ) {
        let isOld = version == .http10
        var head = "HTTP/1.\(isOld ? 0 : 1) \(status) \(Self.reason(of: status))\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        head += "Date: \(date)\r\n"
        switch length {
        case .known: head += "Content-Length: \(body.count)\r\n"
        case .inChunks: head += "Transfer-Encoding: chunked\r\n"
        case .untilTheEnd: break
        }
        // Said only where it is not what the version takes for granted.
        if keepsAlive == isOld { head += "Connection: \(keepsAlive ? "keep-alive" : "close")\r\n" }
        output += (head + "\r\n").utf8
        if withBody { output += body }
    }

    private static func reason(of status: Int) -> String {
        switch status {
        case 200: "OK"
        case 301: "Moved Permanently"
        case 307: "Temporary Redirect"
        case 400: "Bad Request"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 413: "Request Entity Too Large"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Status \(status)"
        }
    }
}
