import TestKit
import Testing

/// HTTP itself, over sockets: with our daemon, or the nsqd that `NSQD_PROGRAM` names.
@Suite(.timeLimit(.minutes(5))) struct `An HTTP connection` {
    private static let ping = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"

    private static func publish(_ body: String, _ headers: String = "") -> String {
        "POST /pub?topic=plays HTTP/1.1\r\nHost: x\r\n\(headers)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test func `takes requests one behind the other, and answers in their order`() throws {
        let stage = try Stage()
        let client = try HTTPConnection(to: stage)
        client.send(Self.ping + Self.publish("a") + "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n")
        client.send("GET /config/max_rdy_count HTTP/1.1\r\nHost: x\r\n\r\n" + Self.publish("b"))
        let answers = try (0..<5).map { _ in try client.answer() }
        #expect(answers.map(\.status) == [200, 200, 404, 200, 200])
        #expect(answers.map(\.body) == ["OK", "OK", #"{"message":"NOT_FOUND"}"#, "2500", "OK"])
        #expect(try stage.topic()?.messageCount == 2)
        #expect(stage.nsqd.stop())
    }

    @Test func `may publish with many requests at once`() throws {
        let stage = try Stage()
        let client = try HTTPConnection(to: stage)
        let bodies = (0..<200).map { "\($0)" }
        client.send(bodies.map { Self.publish($0) }.joined())
        for _ in bodies { #expect(try client.answer().body == "OK") }
        #expect(try stage.consumer(ready: 500).next(200).map(\.body) == bodies)
        #expect(stage.nsqd.stop())
    }

    @Test func `ends as HTTP has it: at once in 1.0, and when it is asked to in 1.1`() throws {
        let stage = try Stage()
        for (head, isKept) in [
            ("GET /ping HTTP/1.0\r\n", false),
            ("GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n", true),
            ("GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", false),
        ] {
            let client = try HTTPConnection(to: stage)
            client.send(head + "\r\n")
            #expect(try client.answer().body == "OK")
            guard isKept else {
                #expect(client.ends())
                continue
            }
            client.send(head + "\r\n")
            #expect(try client.answer().body == "OK")
        }
        #expect(stage.nsqd.stop())
    }

    @Test func `takes a body in chunks, if it is not too long`() throws {
        let stage = try Stage("--max-msg-size=10")
        let head = "POST /pub?topic=plays HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        let client = try HTTPConnection(to: stage)
        client.send(head + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n" + Self.ping)
        #expect(try [client.answer(), client.answer()].map(\.body) == ["OK", "OK"])
        client.send(head + "6\r\nabcdef\r\n5\r\nghijk\r\n0\r\n\r\n")
        let answer = try client.answer()
        #expect(answer.status == 413 && answer.body == #"{"message":"MSG_TOO_BIG"}"#)
        #expect(try stage.topic()?.messageBytes == 5)
        #expect(stage.nsqd.stop())
    }

    @Test func `says to go on only where the body is wanted`() throws {
        let stage = try Stage("--max-msg-size=10")
        let wanted = try HTTPConnection(to: stage)
        wanted.send(
            "POST /pub?topic=plays HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                + "Content-Length: 4\r\n\r\n")
        #expect(try wanted.answer().status == 100)
        wanted.send("play")
        #expect(try wanted.answer().body == "OK")
        let refused = try HTTPConnection(to: stage)
        refused.send(
            "POST /pub?topic=plays HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                + "Content-Length: 11\r\n\r\n")
        let answer = try refused.answer()
        #expect(answer.status == 413 && answer.body == #"{"message":"MSG_TOO_BIG"}"#)
        #expect(stage.nsqd.stop())
    }

    @Test func `passes over the body of a request that is refused`() throws {
        let stage = try Stage()
        let client = try HTTPConnection(to: stage)
        let request = "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n"
        for path in ["/pub", "/nope", "/stats", "/topic/create"] {
            client.send(
                "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(request.utf8.count)\r\n\r\n"
                    + request + Self.ping)
            #expect((400..<500).contains(try client.answer().status))
            #expect(try client.answer().body == "OK", "behind \(path)")
        }
        #expect(stage.nsqd.stop())
    }

    @Test func `knows headers in any case, and a target with its host`() throws {
        let stage = try Stage()
        let client = try HTTPConnection(to: stage)
        client.send(
            "POST http://nsqd:4151/pub?topic=plays HTTP/1.1\r\nhOST: x\r\ncontent-LENGTH: 4\r\n\r\n"
                + "play")
        #expect(try client.answer().body == "OK")
        #expect(try stage.topic()?.messageBytes == 4)
        #expect(stage.nsqd.stop())
    }

    @Test(arguments: [
        "nonsense\r\n\r\n", "GET /ping HTTP/1.1\r\n\r\n",
        "POST /pub?topic=plays HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "POST /pub?topic=plays HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ])
    func `ends with 400 where it is no HTTP`(request: String) throws {
        let stage = try Stage()
        let client = try HTTPConnection(to: stage)
        client.send(request)
        #expect(try client.answer().status == 400)
        #expect(client.ends())
        #expect(try stage.topic()?.messageCount ?? 0 == 0)
        #expect(stage.nsqd.stop())
    }

    @Test func `is refused a head of more than a megabyte`() throws {
        let stage = try Stage()
        let client = try HTTPConnection(to: stage)
        let line = "X-Long: " + String(repeating: "x", count: 10_000) + "\r\n"
        client.send("GET /ping HTTP/1.1\r\nHost: x\r\n")
        for _ in 0..<110 { client.send(line) }
        #expect(try client.answer().status == 431)
        #expect(stage.nsqd.stop())
    }

    @Test func `has arguments in the target alone, and the first of several`() throws {
        let stage = try Stage()
        let client = try HTTPConnection(to: stage)
        let form = "Content-Type: application/x-www-form-urlencoded\r\n"
        client.send(
            "POST /topic/create HTTP/1.1\r\nHost: x\r\n\(form)Content-Length: 11\r\n\r\ntopic=plays"
        )
        #expect(try client.answer().body == #"{"message":"MISSING_ARG_TOPIC"}"#)
        client.send(
            "POST /topic/create?topic=first&topic=second HTTP/1.1\r\nHost: x\r\n"
                + "Content-Length: 0\r\n\r\n")
        #expect(try client.answer().status == 200)
        #expect(try stage.topic("first") != nil)
        #expect(try stage.topic("second") == nil)
        #expect(stage.nsqd.stop())
    }
}
