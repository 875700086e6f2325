import HTTP
import TestKit
import Testing
import UVLoop

@Suite struct `An HTTP server` {
    let service = TestService()

    @Test func `answers requests of one connection in order`() throws {
        let heard = try Talk.with(
            service, [.send(get("/a") + post("/b", "body") + get("/c", close: true))])
        #expect(heard == answer("/a") + answer("/bbody") + answer("/c", close: true))
    }

    @Test func `does not look at a request before the one ahead is answered`() throws {
        var unanswered: [(HTTPResponse) -> Void] = []
        var mostUnanswered = 0
        let bell = Bell()
        service.respond = { request, respond in
            unanswered.append(respond)
            mostUnanswered = max(mostUnanswered, unanswered.count)
            bell.later { unanswered.removeFirst()(HTTPResponse(status: 200, body: [])) }
        }
        var heard = ""
        try onLoop { loop in
            bell.loop = loop
            try Talk.start(
                on: loop, with: service,
                [.send(get("/1") + get("/2") + get("/3", close: true))]
            ) { heard = $0 }
        }
        #expect(mostUnanswered == 1)
        #expect(heard == answer("") + answer("") + answer("", close: true))
    }

    @Test func `reads the same however the bytes are split`() throws {
        let requests =
            post("/a?x=1", "one") + "POST /b HTTP/1.1\r\nHost: test\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n5;x=y\r\nthree\r\n0\r\nT: r\r\n\r\n"
            + get("/c", close: true)
        let expected = answer("/aone") + answer("/btwothree") + answer("/c", close: true)
        let bytes = Array(requests.utf8)
        #expect(try Talk.with(service, bytes.map { .send([$0]) }) == expected)
        for cut in 1..<bytes.count {
            let heard = try Talk.with(
                service, [.send(Array(bytes[..<cut])), .send(Array(bytes[cut...]))])
            #expect(heard == expected, "cut at \(cut)")
        }
    }

    @Test func `says to go on only to a client whose body is wanted`() throws {
        let head = "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n"
        let heard = try Talk.with(
            service,
            [
                .send(head + "\r\n"), .expect("100 Continue\r\n\r\n"), .send("body"),
                .expect("/abody"), .send(get("/", close: true)),
            ])
        #expect(
            heard == "HTTP/1.1 100 Continue\r\n\r\n" + answer("/abody") + answer("/", close: true))
        service.plan = { _ in .skip }
        // Whether the body comes after that nobody knows: so that is the end.
        #expect(try Talk.with(service, [.send(head + "\r\n")]) == answer("/a", close: true))
    }

    @Test func `refuses what it does not expect to expect`() throws {
        let heard = try Talk.with(
            service, [.send("GET / HTTP/1.1\r\nHost: test\r\nExpect: miracles\r\n\r\n")])
        #expect(heard.hasPrefix("HTTP/1.1 417 Expectation Failed\r\n"))
    }

    @Test func `answers HEAD without a body`() throws {
        let heard = try Talk.with(
            service, [.send("HEAD /a HTTP/1.1\r\nHost: test\r\n\r\n" + get("/b", close: true))])
        #expect(
            heard == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + answer("/b", close: true))
    }

    @Test func `closes after a request of HTTP 1.0 unless asked to keep`() throws {
        let old = "GET /a HTTP/1.0\r\n"
        let answer = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n"
        #expect(try Talk.with(service, [.send(old + "\r\n")]) == answer + "\r\n/a")
        let heard = try Talk.with(
            service, [.send(old + "Connection: keep-alive\r\n\r\n" + old + "\r\n")])
        #expect(heard == answer + "Connection: keep-alive\r\n\r\n/a" + answer + "\r\n/a")
    }

    @Test func `never changes protocols`() throws {
        let upgrade =
            "GET /a HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        let heard = try Talk.with(service, [.send(upgrade + get("/b", close: true))])
        #expect(heard == answer("/a") + answer("/b", close: true))
    }

    @Test(arguments: [
        ("garbage\r\n\r\n", "400 Bad Request"),
        ("\u{0}\u{1}\u{2}", "400 Bad Request"),
        ("GET /a\r\n\r\n", "400 Bad Request"),
        ("GET a HTTP/1.1\r\nHost: test\r\n\r\n", "400 Bad Request"),
        ("GET /%zz HTTP/1.1\r\nHost: test\r\n\r\n", "400 Bad Request"),
        ("GET /a HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"),
        ("GET /a HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", "400 Bad Request"),
        ("GET /a HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported"),
        ("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "400 Bad Request"),
        ("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400 Bad Request"),
        (
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "400 Bad Request"
        ),
        (
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400 Bad Request"
        ),
        (
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "400 Bad Request"
        ),
        (
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            "501 Not Implemented"
        ),
    ])
    func `hangs up on what is no request`(text: String, status: String) throws {
        // What comes behind it is not looked at.
        let heard = try Talk.with(service, [.send(text + get("/b"))])
        #expect(heard.hasPrefix("HTTP/1.1 \(status)\r\n"))
        #expect(heard.contains("\r\nConnection: close\r\n"))
        #expect(heard.count(of: "HTTP/1.1 ") == 1)
        #expect(service.requests.isEmpty)
    }

    @Test(arguments: ["GET /a HT", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"])
    func `tells a client that ends in the middle of a request`(text: String) throws {
        let heard = try Talk.with(service, [.send(text), .end])
        #expect(heard.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        #expect(service.requests.isEmpty)
    }

    @Test func `answers a client that has sent its last request and still reads`() throws {
        let heard = try Talk.with(service, [.send(get("/a") + get("/b")), .end])
        #expect(heard == answer("/a") + answer("/b"))
    }

    @Test func `reads a head of a megabyte and no longer one`() throws {
        func head(_ count: Int) -> String {
            "GET /a HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX: "
                + String(repeating: "x", count: count) + "\r\n\r\n"
        }
        #expect(try Talk.with(service, [.send(head(1_000_000))]) == answer("/a", close: true))
        let tooLong = try Talk.with(service, [.send(head(1_100_000))])
        #expect(tooLong.hasPrefix("HTTP/1.1 431 Request Header Fields Too Large\r\n"))
        let fields = String(repeating: "X: y\r\n", count: 1_100)
        let tooMany = try Talk.with(
            service, [.send("GET /a HTTP/1.1\r\nHost: test\r\n\(fields)\r\n")])
        #expect(tooMany.hasPrefix("HTTP/1.1 431 Request Header Fields Too Large\r\n"))
    }
}

@Suite struct `A body that nobody wants` {
    let service = TestService()

    @Test func `is refused by its announced length before it is read`() throws {
        service.plan = { _ in .collect(limit: 10, tooLarge: HTTPResponse(status: 413)) }
        let head = "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n"
        let refusal =
            "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        #expect(try Talk.with(service, [.send(head + "\r\n")]) == refusal)
        // Nor is the client told to go on.
        #expect(
            try Talk.with(service, [.send(head + "Expect: 100-continue\r\n\r\n")]) == refusal)
        #expect(service.requests.isEmpty)
    }

    @Test func `is refused when its chunks get too long`() throws {
        service.plan = { _ in .collect(limit: 10, tooLarge: HTTPResponse(status: 413)) }
        func chunked(_ body: String) -> String {
            "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "5\r\nfirst\r\n\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
        }
        let heard = try Talk.with(
            service, [.send(chunked("12345") + chunked("123456") + get("/b", close: true))])
        #expect(
            heard == answer("/afirst12345")
                + "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\n\r\n"
                + answer("/b", close: true))
    }

    @Test func `is skipped to get at the next request, if it is not too long for that`() throws {
        service.plan = { request in
            request.target.path == "/no" ? .refuse(HTTPResponse(status: 404)) : .skip
        }
        let body = String(repeating: "x", count: 200_000)
        let refusal = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
        let heard = try Talk.with(
            service, [.send(post("/no", body) + post("/a", body) + get("/b", close: true))])
        #expect(heard == refusal + "\r\n" + answer("/a") + answer("/b", close: true))
        let long = try Talk.with(service, [.send(post("/no", body + body) + get("/b"))])
        #expect(long == refusal + "Connection: close\r\n\r\n")
    }

    @Test func `ends the connection when it comes in chunks without end`() throws {
        service.plan = { _ in .skip }
        let chunk = "fa0\r\n" + String(repeating: "x", count: 4000) + "\r\n"
        let head = "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        let heard = try Talk.with(
            service, [.send(head), .expect("/a")] + Array(repeating: .send(chunk), count: 200))
        #expect(heard == answer("/a"))
    }
}

@Suite struct `A server's bounds and end` {
    let service = TestService()

    @Test func `a client that does not read is not read from`() throws {
        let size = 64 << 10
        let requestCount = 2_000
        service.respond = { _, respond in
            respond(HTTPResponse(status: 200, body: Array(repeating: 0x78, count: size)))
        }
        var server: HTTPServer?
        var heardBytes = 0
        try onLoop { loop in
            server = HTTPServer(serving: service, on: loop)
            let address = try server!.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            let reader = SlowReader { count in
                heardBytes += count
            } onEnd: {
                server?.stop { server = nil }
            }
            Stream.connect(to: address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                stream.reader = reader
                reader.send(get("/"), count: requestCount, on: stream)
                // Everything comes to a stop by itself: when nothing moved for a while, look.
                reader.whenStill(service, on: loop) { [service] in
                    // Two megabytes or so are in the kernel's buffers.
                    #expect(service.requests.count < requestCount / 4)
                    stream.startReading()
                }
            }
        }
        #expect(service.requests.count == requestCount + 1)
        #expect(heardBytes > requestCount * size)
    }

    @Test func `those who wait for an answer get it before the server stops`() throws {
        var heard: [String] = []
        try onLoop { loop in
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            service.respond = { request, respond in
                server.stop { heard.append("stopped") }
                let timer = Timer(on: loop)
                timer.start(after: .milliseconds(5)) {
                    timer.close()
                    respond(HTTPResponse(status: 200, body: Array("late".utf8)))
                }
            }
            // An idle one, and one in the middle of a request.
            for text in ["", "GET /a HT", get("/slow")] {
                let client = Client(loop, address, text) { heard.append($0) }
                client.start(after: text == get("/slow") ? .milliseconds(20) : .zero)
            }
        }
        #expect(heard.sorted() == ["", "", answer("late", close: true), "stopped"])
        #expect(heard.last == "stopped")
    }
}

@Suite struct `Garbage` {
    /// Requests with bytes changed, cut out and put in twice, from a seed.
    @Test(arguments: 1...300) func `ends with an answer or a closed connection`(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let service = TestService()
        var bytes = Array(
            (get("/a?b=c&d=%20") + post("/e", "body")
                + "PUT /f HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
                + "Expect: 100-continue\r\n\r\n4\r\nbody\r\n0\r\n\r\n").utf8)
        for _ in 0..<Int.random(in: 1...20, using: &generator) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            let end = min(bytes.count, place + Int.random(in: 1...40, using: &generator))
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.removeSubrange(place..<end)
            case 2: bytes.insert(contentsOf: Array(bytes[place..<end]), at: place)
            default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: place)
            }
        }
        var steps: [Step] = []
        while !bytes.isEmpty {
            let count = min(bytes.count, Int.random(in: 1...200, using: &generator))
            steps.append(.send(Array(bytes[..<count])))
            bytes.removeFirst(count)
        }
        // However it went, the talk ends, and each answer is one.
        let heard = try Talk.with(service, steps + [.end])
        #expect(heard.isEmpty || heard.hasPrefix("HTTP/1."), "seed \(seed)")
    }
}
