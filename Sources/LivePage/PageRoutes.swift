import HTTP
import PlayCounts
import UVLoop

/// What there is to see at the page's address. Nothing of it changes anything.
final class PageRoutes: HTTPService {
    // It lives as long as its server, which holds it.
    private unowned let server: PageServer
    private var isLoopback = true

    init(of server: PageServer) { self.server = server }

    func listens(at address: SocketAddress) {
        isLoopback = address.host.hasPrefix("127.") || address.host == "::1"
    }

    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan {
        guard isAskedForByName(request) else {
            return .refuse(.text(421, "this page is at 127.0.0.1 or localhost only"))
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            return .refuse(.text(405, "this page only shows", [("Allow", "GET, HEAD")]))
        }
        guard request.target.path == "/events" else { return .skip }
        guard !server.isStopping, server.hasRoom else {
            return .refuse(.text(503, "no more browsers for now", [("Retry-After", "5")]))
        }
        let head = HTTPResponse.page(
            200, "text/event-stream", [], [("Cache-Control", "no-store")])
        guard request.method == "GET" else { return .refuse(head) }
        return .stream(head, server.join(after: request.headers["Last-Event-ID"]))
    }

    /// A page of someone else's, whose name was made to lead here, would be one with ours to the
    /// browser, and read it. So where only this machine can ask, it must ask for this machine.
    private func isAskedForByName(_ request: HTTPRequest) -> Bool {
        guard isLoopback, let host = request.headers["Host"] else { return isLoopback == false }
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } + "]" : host.prefix { $0 != ":" }
        return ["127.0.0.1", "localhost", "[::1]"].contains(name.lowercased())
    }

    func answer(_ request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void) {
        respond(response(to: request))
    }

    private func response(to request: HTTPRequest) -> HTTPResponse {
        switch request.target.path {
        case "/": .page(307, "text/plain; charset=utf-8", [], [("Location", "/videos")])
        case "/videos": .file("text/html; charset=utf-8", PackageResources.videos_html)
        case "/videos.css": .file("text/css; charset=utf-8", PackageResources.videos_css)
        case "/videos.js": .file("text/javascript; charset=utf-8", PackageResources.videos_js)
        case "/videos.svg": .file("image/svg+xml", PackageResources.videos_svg)
        case "/api/videos": videos(request)
        case let path where path.hasPrefix("/api/videos/"):
            video(String(path.dropFirst("/api/videos/".count)))
        default: .failure(404, "there is nothing here; see /videos")
        }
    }

    private func videos(_ request: HTTPRequest) -> HTTPResponse {
        guard let query = HTTPQuery(parsing: request.target.query) else {
            return .failure(400, "the query is malformed")
        }
        do throws(BadArgument) {
            let (rows, matching) = server.table.look(try VideoTable.View(query))
            return .json(PageJSON.rows(rows, matching: matching, of: server.table.videos))
        } catch {
            return .failure(400, error.description)
        }
    }

    private func video(_ text: String) -> HTTPResponse {
        guard let videoID = VideoID(text) else {
            return .failure(
                400, "a video_id is a GUID such as 1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70")
        }
        guard let row = server.table[videoID] else {
            return .failure(404, "no count of this video was published")
        }
        return .json(PageJSON.row(row))
    }
}

struct BadArgument: Error, CustomStringConvertible {
    let description: String
}

extension VideoTable.View {
    /// Reads `top`, `sort`, `order` and `search`.
    init(_ query: HTTPQuery) throws(BadArgument) {
        self.init()
        if let top = query["top"] {
            guard let number = Int(top), 1...Self.maxLimit ~= number else {
                throw BadArgument(description: "top is a number from 1 to \(Self.maxLimit)")
            }
            limit = number
        }
        if let name = query["sort"] {
            guard let sort = Sort(rawValue: name) else {
                throw BadArgument(description: "sort is plays, recent or video")
            }
            self.sort = sort
        }
        switch query["order"] {
        case nil: isAscending = sort == .video
        case "ascending": isAscending = true
        case "descending": isAscending = false
        default: throw BadArgument(description: "order is ascending or descending")
        }
        search = (query["search"] ?? "").lowercased()
    }
}

extension HTTPResponse {
    /// Scripts and styles from this server's own files and from nowhere else; nothing may embed the
    /// page, and it may send nothing anywhere.
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

    /// Asked for anew each time: another tally may be at the same address tomorrow.
    static func file(_ type: String, _ body: [UInt8]) -> HTTPResponse {
        page(200, type, body, [("Cache-Control", "no-cache")])
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
