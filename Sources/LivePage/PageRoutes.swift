import HTTP
import PlayCounts
import TallyJSON
import UVLoop

/// The HTTP routes of the page and of its API. All routes are read-only.
final class PageRoutes: HTTPService {
    // The server owns this object, so the reference is always valid.
    private unowned let server: PageServer
    private var hosts = HostNames(.loopback)

    init(of server: PageServer) { self.server = server }

    func setAddress(_ address: SocketAddress) {
        let isLoopback = HostNames.isLoopback(address: address.host)
        hosts = HostNames(isLoopback ? .loopback : .numeric, and: server.settings.hosts)
    }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        guard let host = request.headers["Host"], hosts.accepts(host) else {
            return .refuse(
                .text(
                    421,
                    "this page is not served under the name in the request; start tally with "
                        + "--page-host=NAME to add a name"))
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            return .refuse(
                .text(405, "this page is read-only: use GET or HEAD", [("Allow", "GET, HEAD")]))
        }
        guard request.target.path == "/events" else { return .skip }
        guard server.acceptsSubscribers else {
            return .refuse(.text(503, "too many browsers are connected", [("Retry-After", "5")]))
        }
        let head = HTTPResponse.page(
            200, "text/event-stream", [],
            [
                ("Cache-Control", "no-store"),
                // nginx and other proxies would otherwise hold events back.
                ("X-Accel-Buffering", "no"),
            ])
        guard request.method == "GET" else { return .refuse(head) }
        return .stream(head, server.addSubscriber(after: request.headers["Last-Event-ID"]))
    }

    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        switch request.target.path {
        case "/metrics": server.respondWithMetrics(respond)
        case "/healthz": server.respondWithHealth(respond)
        default: respond(response(to: request))
        }
    }

    private func response(to request: HTTPRequest) -> HTTPResponse {
        switch request.target.path {
        case "/": .page(307, "text/plain; charset=utf-8", [], [("Location", "/videos")])
        case "/videos": .file("text/html; charset=utf-8", PackageResources.videos_html)
        case "/videos.css": .file("text/css; charset=utf-8", PackageResources.videos_css)
        case "/videos.js": .script(PackageResources.videos_js)
        case "/model.js": .script(PackageResources.model_js)
        case "/logic.js": .script(PackageResources.logic_js)
        case "/charts.js": .script(PackageResources.charts_js)
        case "/table.js": .script(PackageResources.table_js)
        case "/page.js": .script(PackageResources.page_js)
        case "/videos.svg": .file("image/svg+xml", PackageResources.videos_svg)
        case "/api/videos": videos(request)
        case let path where path.hasPrefix("/api/videos/"):
            video(String(path.dropFirst("/api/videos/".count)))
        default: .failure(404, "not found; see /videos")
        }
    }

    private func videos(_ request: HTTPRequest) -> HTTPResponse {
        guard let query = HTTPQuery(parsing: request.target.query) else {
            return .failure(400, "malformed query string")
        }
        do throws(BadArgument) {
            let (rows, matching) = server.table.rows(try VideoTable.Query(query))
            return .json(PageJSON.rows(rows, matching: matching, of: server.table.videos))
        } catch {
            return .failure(400, error.description)
        }
    }

    private func video(_ text: String) -> HTTPResponse {
        guard let videoID = VideoID(text) else {
            return .failure(
                400,
                "invalid video_id: expected a GUID such as 1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70")
        }
        guard let row = server.table[videoID] else {
            return .failure(404, "unknown video: no count was published for it")
        }
        return .json(PageJSON.row(row))
    }
}

/// An invalid query parameter.
struct BadArgument: Error, CustomStringConvertible {
    let description: String
}

extension VideoTable.Query {
    /// Parses the query parameters `top`, `sort`, `order` and `search`.
    init(_ query: HTTPQuery) throws(BadArgument) {
        self.init()
        if let top = query["top"] {
            guard let number = Int(top), 1...Self.maxLimit ~= number else {
                throw BadArgument(description: "top must be a number from 1 to \(Self.maxLimit)")
            }
            limit = number
        }
        if let name = query["sort"] {
            guard let sort = Sort(rawValue: name) else {
                throw BadArgument(description: "sort must be plays, recent or video")
            }
            self.sort = sort
        }
        switch query["order"] {
        case nil: isAscending = sort == .video
        case "ascending": isAscending = true
        case "descending": isAscending = false
        default: throw BadArgument(description: "order must be ascending or descending")
        }
        search = (query["search"] ?? "").lowercased()
    }
}

extension HTTPResponse {
    /// Allows scripts, styles and connections of this server only, and no embedding of the page.
    private static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        + "require-trusted-types-for 'script'"

    static func page(
        _ status: Int, _ type: String, _ body: [UInt8],
        _ headers: [(name: String, value: String)] = []
    ) -> HTTPResponse {
        let own: [(name: String, value: String)] = [
            ("Content-Type", type),
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
        ]
        return HTTPResponse(status: status, headers: own + headers, body: body)
    }

    /// Creates a response with a file that browsers must revalidate, because another version of
    /// tally may use the same address later.
    static func file(_ type: String, _ body: [UInt8]) -> HTTPResponse {
        page(200, type, body, [("Cache-Control", "no-cache")])
    }

    static func script(_ body: [UInt8]) -> HTTPResponse {
        file("text/javascript; charset=utf-8", body)
    }

    static var tooManyConnections: HTTPResponse {
        .text(503, "too many connections to the page", [("Retry-After", "5")])
    }

    static func json(_ body: [UInt8], status: Int = 200) -> HTTPResponse {
        page(status, "application/json", body, [("Cache-Control", "no-store")])
    }

    static func failure(_ status: Int, _ message: String) -> HTTPResponse {
        json(JSONWriter.object { $0.member("error", message) }, status: status)
    }

    static func text(
        _ status: Int, _ text: String, _ headers: [(name: String, value: String)] = []
    ) -> HTTPResponse {
        page(status, "text/plain; charset=utf-8", Array("\(text)\n".utf8), headers)
    }
}
