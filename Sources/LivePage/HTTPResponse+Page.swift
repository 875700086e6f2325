import HTTP
import TallyJSON

extension HTTPResponse {
    /// A content security policy: scripts, styles and connections only of this server, and no page
    /// may embed this one.
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

    /// Creates a response with a file. Browsers must revalidate the file at each use, because a
    /// later version of tally may serve another file at the same address.
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
