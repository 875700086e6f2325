import TallyJSON

/// The HTTP responses of NSQ's programs, with their headers.
extension HTTPResponse {
    private static let version = (name: "X-Nsq-Content-Type", value: "nsq; version=1.0")
    private static let json = (name: "Content-Type", value: "application/json; charset=utf-8")
    private static let text = (name: "Content-Type", value: "text/plain; charset=utf-8")

    /// The empty response of a successful request.
    package static let done = HTTPResponse(status: 200, headers: [version])

    /// The response `OK`.
    package static let ok = plain("OK")

    /// A plain text response with NSQ's header.
    package static func plain(_ body: String) -> HTTPResponse {
        HTTPResponse(status: 200, headers: [version, text], body: Array(body.utf8))
    }

    /// A JSON response with NSQ's header.
    package static func nsqJSON(_ body: [UInt8]) -> HTTPResponse {
        HTTPResponse(status: 200, headers: [json, version], body: body)
    }

    /// A plain text response without NSQ's header, for health checks.
    package static func bare(_ status: Int, _ body: String) -> HTTPResponse {
        HTTPResponse(status: status, headers: [text], body: Array(body.utf8))
    }

    /// The response to a request that failed.
    package static func failure(_ failure: HTTPFailure) -> HTTPResponse {
        HTTPResponse(
            status: failure.status, headers: [json, version],
            body: Array("{\"message\":\"\(failure.code)\"}".utf8))
    }

    /// The response to a request that failed, with any text.
    package static func nsqFailure(_ status: Int, _ message: String) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: [json, version],
            body: JSONWriter.object { $0.member("message", message) })
    }

    /// The response to a plain HTTP request if TLS is required.
    package static func tlsRequired(httpsPort port: Int) -> HTTPResponse {
        HTTPResponse(
            status: 403, headers: [json, version],
            body: Array("{\"message\": \"TLS_REQUIRED\", \"https_port\": \(port)}".utf8))
    }

    /// The response to a request that selects no operation.
    ///
    /// - Precondition: `match` is not a route.
    package static func unrouted<Route>(
        _ match: HTTPRouter<Route>.Match, _ request: HTTPRequest
    ) -> HTTPResponse {
        switch match {
        case .route: preconditionFailure("the service executes a route")
        case .redirect(let path): redirect(to: path, for: request)
        case .allowed(let methods): allowed(methods)
        case .notAllowed(let methods): notAllowed(methods)
        case .notFound: failure(.notFound)
        }
    }

    private static func allowed(_ methods: [String]) -> HTTPResponse {
        let allow = (name: "Allow", value: methods.joined(separator: ", "))
        return HTTPResponse(status: 200, headers: methods.isEmpty ? [] : [allow])
    }

    private static func notAllowed(_ methods: [String]) -> HTTPResponse {
        var response = failure(.methodNotAllowed)
        response.headers.insert(("Allow", methods.joined(separator: ", ")), at: 0)
        return response
    }

    /// Redirects a `GET` with 301 and an HTML page, and other methods with 307, as Go does.
    private static func redirect(to path: String, for request: HTTPRequest) -> HTTPResponse {
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

extension String {
    /// The text without characters that HTML would interpret.
    package var escapedForHTML: String {
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
