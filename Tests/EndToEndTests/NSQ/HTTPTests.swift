import TestKit
import TestTraits
import Testing

/// The HTTP protocol over sockets, with our broker or the nsqd of `NSQD_PROGRAM`.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `An HTTP connection` {
    private static let ping = "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"

    private static func publish(_ body: String, _ headers: String = "") -> String {
        "POST /pub?topic=plays HTTP/1.1\r\nHost: localhost\r\n\(headers)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test func `answers pipelined requests in order`() throws {
        let daemon = try TestDaemon()
        let client = try HTTPConnection(to: daemon)
        client.send(Self.ping + Self.publish("a") + "GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.send(
            "GET /config/max_rdy_count HTTP/1.1\r\nHost: localhost\r\n\r\n" + Self.publish("b"))
        let responses = try (0..<5).map { _ in try client.response() }
        #expect(responses.map(\.status) == [200, 200, 404, 200, 200])
        #expect(responses.map(\.body) == ["OK", "OK", #"{"message":"NOT_FOUND"}"#, "2500", "OK"])
        #expect(try daemon.topic()?.messageCount == 2)
        #expect(daemon.nsqd.stop())
    }

    @Test func `accepts many pipelined publish requests`() throws {
        let daemon = try TestDaemon()
        let client = try HTTPConnection(to: daemon)
        let bodies = (0..<200).map { "\($0)" }
        client.send(bodies.map { Self.publish($0) }.joined())
        for _ in bodies { #expect(try client.response().body == "OK") }
        #expect(try daemon.consumer(ready: 500).next(200).map(\.body) == bodies)
        #expect(daemon.nsqd.stop())
    }

    @Test func `is closed after one request in HTTP/1.0 and on request in HTTP/1.1`() throws {
        let daemon = try TestDaemon()
        for (head, isKept) in [
            ("GET /ping HTTP/1.0\r\n", false),
            ("GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n", true),
            ("GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", false),
        ] {
            let client = try HTTPConnection(to: daemon)
            client.send(head + "\r\n")
            #expect(try client.response().body == "OK")
            guard isKept else {
                #expect(client.ends())
                continue
            }
            client.send(head + "\r\n")
            #expect(try client.response().body == "OK")
        }
        #expect(daemon.nsqd.stop())
    }

    @Test func `accepts a chunked body up to the size limit`() throws {
        let daemon = try TestDaemon("--max-msg-size=10")
        let head =
            "POST /pub?topic=plays HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        let client = try HTTPConnection(to: daemon)
        client.send(head + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n" + Self.ping)
        #expect(try [client.response(), client.response()].map(\.body) == ["OK", "OK"])
        client.send(head + "6\r\nabcdef\r\n5\r\nghijk\r\n0\r\n\r\n")
        let response = try client.response()
        #expect(response.status == 413 && response.body == #"{"message":"MSG_TOO_BIG"}"#)
        #expect(try daemon.topic()?.messageBytes == 5)
        #expect(daemon.nsqd.stop())
    }

    @Test func `sends 100 Continue only if it will read the body`() throws {
        let daemon = try TestDaemon("--max-msg-size=10")
        let wanted = try HTTPConnection(to: daemon)
        wanted.send(
            "POST /pub?topic=plays HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                + "Content-Length: 4\r\n\r\n")
        #expect(try wanted.response().status == 100)
        wanted.send("play")
        #expect(try wanted.response().body == "OK")
        let refused = try HTTPConnection(to: daemon)
        refused.send(
            "POST /pub?topic=plays HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                + "Content-Length: 11\r\n\r\n")
        let response = try refused.response()
        #expect(response.status == 413 && response.body == #"{"message":"MSG_TOO_BIG"}"#)
        #expect(daemon.nsqd.stop())
    }

    @Test func `skips the body of a refused request`() throws {
        let daemon = try TestDaemon()
        let client = try HTTPConnection(to: daemon)
        let request = "GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for path in ["/pub", "/nope", "/stats", "/topic/create"] {
            client.send(
                "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(request.utf8.count)\r\n\r\n"
                    + request + Self.ping)
            #expect((400..<500).contains(try client.response().status))
            #expect(try client.response().body == "OK", "behind \(path)")
        }
        #expect(daemon.nsqd.stop())
    }

    @Test func `accepts header names in any case and absolute request targets`() throws {
        let daemon = try TestDaemon()
        let client = try HTTPConnection(to: daemon)
        client.send(
            "POST http://nsqd:4151/pub?topic=plays HTTP/1.1\r\nhOST: localhost\r\ncontent-LENGTH: 4\r\n\r\n"
                + "play")
        #expect(try client.response().body == "OK")
        #expect(try daemon.topic()?.messageBytes == 4)
        #expect(daemon.nsqd.stop())
    }

    @Test(arguments: [
        "nonsense\r\n\r\n", "GET /ping HTTP/1.1\r\n\r\n",
        "POST /pub?topic=plays HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "POST /pub?topic=plays HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    ])
    func `answers 400 and closes on malformed requests`(request: String) throws {
        let daemon = try TestDaemon()
        let client = try HTTPConnection(to: daemon)
        client.send(request)
        #expect(try client.response().status == 400)
        #expect(client.ends())
        #expect(try daemon.topic()?.messageCount ?? 0 == 0)
        #expect(daemon.nsqd.stop())
    }

    @Test func `refuses a request head of more than one megabyte`() throws {
        let daemon = try TestDaemon()
        let client = try HTTPConnection(to: daemon)
        let line = "X-Long: " + String(repeating: "x", count: 10_000) + "\r\n"
        client.send("GET /ping HTTP/1.1\r\nHost: localhost\r\n")
        for _ in 0..<110 { client.send(line) }
        #expect(try client.response().status == 431)
        #expect(daemon.nsqd.stop())
    }

    @Test func `reads arguments from the request target only, and the first of duplicates`() throws
    {
        let daemon = try TestDaemon()
        let client = try HTTPConnection(to: daemon)
        let form = "Content-Type: application/x-www-form-urlencoded\r\n"
        client.send(
            "POST /topic/create HTTP/1.1\r\nHost: localhost\r\n\(form)Content-Length: 11\r\n\r\ntopic=plays"
        )
        #expect(try client.response().body == #"{"message":"MISSING_ARG_TOPIC"}"#)
        client.send(
            "POST /topic/create?topic=first&topic=second HTTP/1.1\r\nHost: localhost\r\n"
                + "Content-Length: 0\r\n\r\n")
        #expect(try client.response().status == 200)
        #expect(try daemon.topic("first") != nil)
        #expect(try daemon.topic("second") == nil)
        #expect(daemon.nsqd.stop())
    }
}
