import HTTP

/// nsqd's HTTP responses, with their headers.
extension HTTPResponse {
    private static let version = (name: "X-Nsq-Content-Type", value: "nsq; version=1.0")
    private static let json = (name: "Content-Type", value: "application/json; charset=utf-8")
    private static let text = (name: "Content-Type", value: "text/plain; charset=utf-8")

    /// The empty response of a successful request.
    static let done = HTTPResponse(status: 200, headers: [version])

    /// The response `OK`.
    static let ok = plain("OK")

    static func plain(_ body: String) -> HTTPResponse {
        HTTPResponse(status: 200, headers: [version, text], body: Array(body.utf8))
    }

    static func json(_ body: [UInt8]) -> HTTPResponse {
        HTTPResponse(status: 200, headers: [json, version], body: body)
    }

    /// A plain text response without NSQ's header, for health checks.
    static func bare(_ status: Int, _ body: String) -> HTTPResponse {
        HTTPResponse(status: status, headers: [text], body: Array(body.utf8))
    }

    static func failure(_ failure: HTTPFailure) -> HTTPResponse {
        HTTPResponse(
            status: failure.status, headers: [json, version],
            body: Array("{\"message\":\"\(failure.code)\"}".utf8))
    }

    /// The response to a plain HTTP request if TLS is required.
    static func tlsRequired(httpsPort port: Int) -> HTTPResponse {
        HTTPResponse(
            status: 403, headers: [json, version],
            body: Array("{\"message\": \"TLS_REQUIRED\", \"https_port\": \(port)}".utf8))
    }

    static func allowed(_ methods: [String]) -> HTTPResponse {
        let allow = (name: "Allow", value: methods.joined(separator: ", "))
        return HTTPResponse(status: 200, headers: methods.isEmpty ? [] : [allow])
    }

    static func notAllowed(_ methods: [String]) -> HTTPResponse {
        var response = failure(.methodNotAllowed)
        response.headers.insert(("Allow", methods.joined(separator: ", ")), at: 0)
        return response
    }

    /// Redirects a `GET` with 301 and an HTML page, and other methods with 307, as Go does.
    static func redirect(to path: String, for request: HTTPRequest) -> HTTPResponse {
        let encoded = PercentCoding.encode(path, keeping: "/$&+,:;=@")
        let location = encoded + (request.target.query.map { "?\($0)" } ?? "")
        guard request.method == "GET" else {
            return HTTPResponse(status: 307, headers: [("Location", location)])
        }
        let page = "<a href=\"\(location.escapedForHTML)\">Moved Permanently</a>.\n\n"
        return HTTPResponse(
            status: 301,
            headers: [("Content-Type", "text/html; charset=utf-8"), ("Location", location)],
            body: Array(page.utf8))
    }
}

/// The error of a request: the status, and nsqd's error code.
struct HTTPFailure: Error, Equatable {
    let status: Int
    let code: String

    private init(_ status: Int, _ code: String) {
        self.status = status
        self.code = code
    }

    static let invalidRequest = HTTPFailure(400, "INVALID_REQUEST")
    static let missingTopic = HTTPFailure(400, "MISSING_ARG_TOPIC")
    static let missingChannel = HTTPFailure(400, "MISSING_ARG_CHANNEL")
    static let invalidTopic = HTTPFailure(400, "INVALID_TOPIC")
    /// An invalid topic in a request that also has a channel.
    static let invalidTopicArgument = HTTPFailure(400, "INVALID_ARG_TOPIC")
    static let invalidChannelArgument = HTTPFailure(400, "INVALID_ARG_CHANNEL")
    static let invalidDefer = HTTPFailure(400, "INVALID_DEFER")
    static let invalidOption = HTTPFailure(400, "INVALID_OPTION")
    static let invalidValue = HTTPFailure(400, "INVALID_VALUE")
    static let messageEmpty = HTTPFailure(400, "MSG_EMPTY")
    static let notFound = HTTPFailure(404, "NOT_FOUND")
    static let topicNotFound = HTTPFailure(404, "TOPIC_NOT_FOUND")
    static let channelNotFound = HTTPFailure(404, "CHANNEL_NOT_FOUND")
    static let methodNotAllowed = HTTPFailure(405, "METHOD_NOT_ALLOWED")
    static let messageTooBig = HTTPFailure(413, "MSG_TOO_BIG")
    static let bodyTooBig = HTTPFailure(413, "BODY_TOO_BIG")
    static let valueTooBig = HTTPFailure(413, "INVALID_VALUE")
    static let badBody = HTTPFailure(413, "BAD_BODY")
    static let badMessage = HTTPFailure(413, "BAD_MESSAGE")
    static let exiting = HTTPFailure(503, "EXITING")
    /// A change that a browser requests for a page of another site. nsqd executes it.
    static let foreignOrigin = HTTPFailure(403, "FOREIGN_ORIGIN")
    /// A `Host` that is neither a loopback name nor one of `--http-host`. nsqd does not check it.
    static let unknownHost = HTTPFailure(421, "UNKNOWN_HOST")
    // nsqd does not have these limits.
    static let tooManyTopics = HTTPFailure(503, "TOO_MANY_TOPICS")
    static let tooManyChannels = HTTPFailure(503, "TOO_MANY_CHANNELS")
    static let tooManyConnections = HTTPFailure(503, "TOO_MANY_CONNECTIONS")
    /// The limit of the memory for messages is reached. nsqd writes excess messages to disk
    /// instead.
    static let memoryIsFull = HTTPFailure(503, "MEMORY_FULL")
    /// The change could not be written to disk. nsqd has no such error.
    static let notStored = HTTPFailure(503, "NOT_STORED")
}

extension String {
    fileprivate var escapedForHTML: String {
        var escaped = ""
        for character in self {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&#34;"
            case "'": escaped += "&#39;"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
