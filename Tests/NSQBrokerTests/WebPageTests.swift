import NSQBroker
import TestKit
import TestTraits
import Testing

/// Any page that a user visits can make the browser send these requests. The broker refuses them; nsqd
/// executes them.
@Suite(.blocking, .ours("nsqd executes the requests of all pages"))
struct `The HTTP API and web pages` {
    private func status(_ probe: HTTPProbe, _ request: String, _ headers: String) throws -> String {
        let socket = try BlockingSocket(to: probe.httpAddress)
        socket.send("\(request) HTTP/1.1\r\n\(headers)Connection: close\r\n\r\n")
        return ReceivedResponse(parsing: socket.receiveAll()).summary
    }

    private static let foreignOrigin = #"403 {"message":"FOREIGN_ORIGIN"}"#
    private static let unknownHost = #"421 {"message":"UNKNOWN_HOST"}"#

    @Test(arguments: [
        "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: none\r\nsec-fetch-site: cross-site", "Origin: http://evil.example",
        "Origin: null", "Origin: http://127.0.0.1:1", "Origin: http://localhost.evil.example",
        "Sec-Fetch-Site: same-origin\r\nOrigin: http://evil.example",
    ])
    func `change nothing for the page of another site`(header: String) async throws {
        let probe = try await HTTPProbe.startOwn()
        let headers = "Host: \(probe.httpAddress)\r\n\(header)\r\n"
        for request in [
            "POST /topic/create?topic=plays", "POST /pub?topic=plays", "POST /mpub?topic=plays",
            "PUT /config/log_level", "POST /channel/create?topic=plays&channel=counts",
        ] {
            #expect(try status(probe, request, headers) == Self.foreignOrigin)
        }
        #expect(try probe.topic("plays") == nil)
        #expect(try status(probe, "GET /ping", headers) == "200 OK")
        await probe.stop()
    }

    @Test func `serve pages of their own origin, and clients that are no browsers`() async throws {
        let probe = try await HTTPProbe.startOwn()
        let host = "Host: \(probe.httpAddress)\r\n"
        for header in [
            "", "Sec-Fetch-Site: same-origin\r\nOrigin: http://\(probe.httpAddress)\r\n",
            "Sec-Fetch-Site: none\r\n",
        ] {
            #expect(
                try status(probe, "POST /topic/create?topic=plays", host + header) == "200 ")
        }
        await probe.stop()
    }

    @Test func `answer on a loopback address only under loopback and configured names`()
        async throws
    {
        let probe = try await HTTPProbe.startOwn {
            $0.addresses.httpHosts = ["queue.example"]
            $0.addresses.broadcast = "worker7"
        }
        for host in [
            "127.0.0.1:4151", "localhost", "[::1]:4151", "queue.example:80", "worker7", "",
        ] {
            #expect(try status(probe, "GET /ping", "Host: \(host)\r\n") == "200 OK")
        }
        for host in ["evil.example", "evil-127.0.0.1", "10.0.0.1", "worker8"] {
            for request in ["GET /stats", "GET /ping", "POST /topic/create?topic=plays"] {
                #expect(try status(probe, request, "Host: \(host)\r\n") == Self.unknownHost)
            }
        }
        // HTTP/1.0 without Host.
        #expect(try probe.get("/ping").status == 200)
        await probe.stop()
    }
}
