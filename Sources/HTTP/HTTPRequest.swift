/// A received request. The body is present only if the service's plan is
/// ``HTTPBodyPlan/collect(limit:tooLarge:)``.
package struct HTTPRequest: Sendable {
    /// The method in upper case: `GET`.
    package let method: String
    /// The path and the query.
    package let target: HTTPTarget
    /// The header fields.
    package let headers: HTTPHeaders
    /// The body length that the head announces.
    package let bodyLength: HTTPHead.BodyLength
    /// The client's address, as `host:port`.
    package let peer: String
    /// Whether the connection uses TLS.
    package let isEncrypted: Bool
    /// Whether the listener of the connection has a loopback address.
    package let isOnLoopback: Bool
    /// The collected body, without transfer encoding.
    package internal(set) var body: [UInt8] = []
}

/// A service's plan for a request's body, made before the body is read.
package enum HTTPBodyPlan {
    /// Collect the body, up to `limit` bytes. A longer body is refused with the response `tooLarge`.
    /// If the head announces the length, it is refused before it is read.
    case collect(limit: Int, tooLarge: HTTPResponse)
    /// Process the request and ignore its body.
    case skip
    /// Send this response without processing the request.
    case refuse(HTTPResponse)
    /// Send the head of this response and then the chunks of the source, until the client
    /// disconnects or the server stops. The connection accepts no further request.
    case stream(HTTPResponse, any HTTPResponseSource)
}

/// A server's response.
package struct HTTPResponse: Sendable {
    /// The status code.
    package var status: Int
    /// The header fields, without `Date`, `Content-Length` and `Connection`, which the server adds.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    /// Combines a status, header fields and a body.
    package init(
        status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The way in which the client recognizes the end of the body.
    enum Length {
        /// The header `Content-Length` announces the body's length.
        case known
        case chunked
        /// The body ends with the connection, for HTTP/1.0.
        case untilClose
    }

    /// Creates a plain-text response for requests that do not reach a service.
    static func plain(_ status: Int, _ detail: String? = nil) -> HTTPResponse {
        let text = "\(status) \(reason(of: status))" + (detail.map { ": \($0)" } ?? "")
        return HTTPResponse(
            status: status, headers: [("Content-Type", "text/plain; charset=utf-8")],
            body: Array(text.utf8))
    }

    /// Appends the response in wire format to `output`.
    ///
    /// - Parameters:
    ///   - output: receives the bytes.
    ///   - version: the version of the request.
    ///   - date: the value of the `Date` header.
    ///   - keepsAlive: whether the connection stays open after the response.
    ///   - withBody: whether the body is appended; `false` for HEAD and for streamed bodies.
    ///   - length: the way in which the client recognizes the end of the body.
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
        case .chunked: head += "Transfer-Encoding: chunked\r\n"
        case .untilClose: break
        }
        // `Connection` is written only if its value differs from the default of the HTTP version.
        if keepsAlive == isOld { head += "Connection: \(keepsAlive ? "keep-alive" : "close")\r\n" }
        output += (head + "\r\n").utf8
        if withBody { output += body }
    }

    /// The reason phrase of a status, as Go spells it.
    package static func reason(of status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 301: "Moved Permanently"
        case 307: "Temporary Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Request Entity Too Large"
        case 414: "Request URI Too Long"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Status \(status)"
        }
    }
}
