import HTTP
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking) struct `An HTTP server` {
    let service = TestService()

    @Test func `responds to the requests of a connection in order`() throws {
        let received = try Conversation.with(
            service, [.send(get("/a") + post("/b", "body") + get("/c", close: true))])
        #expect(received == answer("/a") + answer("/bbody") + answer("/c", close: true))
    }

    @Test func `processes a request only after the response to the one before`() throws {
        var unanswered: [(HTTPResponse) -> Void] = []
        var maxUnanswered = 0
        var loop: Loop?
        service.respond = { request, respond in
            unanswered.append(respond)
            maxUnanswered = max(maxUnanswered, unanswered.count)
            loop?.runInNextIteration {
                unanswered.removeFirst()(HTTPResponse(status: 200, body: []))
            }
        }
        var received = ""
        try onLoop { newLoop in
            loop = newLoop
            try Conversation.start(
                on: newLoop, with: service,
                [.send(get("/1") + get("/2") + get("/3", close: true))]
            ) { received = $0 }
        }
        loop = nil
        #expect(maxUnanswered == 1)
        #expect(received == answer("") + answer("") + answer("", close: true))
    }

    @Test func `reads the same requests however the bytes are split`() throws {
        let requests =
            post("/a?x=1", "one") + "POST /b HTTP/1.1\r\nHost: test\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n5;x=y\r\nthree\r\n0\r\nT: r\r\n\r\n"
            + get("/c", close: true)
        let expected = answer("/aone") + answer("/btwothree") + answer("/c", close: true)
        let bytes = Array(requests.utf8)
        #expect(try Conversation.with(service, bytes.map { .send([$0]) }) == expected)
        for cut in 1..<bytes.count {
            let received = try Conversation.with(
                service, [.send(Array(bytes[..<cut])), .send(Array(bytes[cut...]))])
            #expect(received == expected, "cut at \(cut)")
        }
    }

    @Test func `sends 100 Continue only when it collects the body`() throws {
        let head = "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n"
        let received = try Conversation.with(
            service,
            [
                .send(head + "\r\n"), .expect("100 Continue\r\n\r\n"), .send("body"),
                .expect("/abody"), .send(get("/", close: true)),
            ])
        #expect(
            received == "HTTP/1.1 100 Continue\r\n\r\n" + answer("/abody")
                + answer("/", close: true))
        service.plan = { _ in .skip }
        // The server cannot know whether the body follows, so it closes the connection.
        #expect(try Conversation.with(service, [.send(head + "\r\n")]) == answer("/a", close: true))
    }

    @Test func `rejects an unknown Expect header`() throws {
        let received = try Conversation.with(
            service, [.send("GET / HTTP/1.1\r\nHost: test\r\nExpect: miracles\r\n\r\n")])
        #expect(received.hasPrefix("HTTP/1.1 417 Expectation Failed\r\n"))
    }

    @Test func `responds to HEAD without a body`() throws {
        let received = try Conversation.with(
            service, [.send("HEAD /a HTTP/1.1\r\nHost: test\r\n\r\n" + get("/b", close: true))])
        #expect(
            received == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + answer("/b", close: true))
    }

    @Test func `closes the connection after an HTTP/1.0 request without keep-alive`() throws {
        let old = "GET /a HTTP/1.0\r\n"
        let answer = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n"
        #expect(try Conversation.with(service, [.send(old + "\r\n")]) == answer + "\r\n/a")
        let received = try Conversation.with(
            service, [.send(old + "Connection: keep-alive\r\n\r\n" + old + "\r\n")])
        #expect(received == answer + "Connection: keep-alive\r\n\r\n/a" + answer + "\r\n/a")
    }

    @Test func `ignores upgrades to other protocols`() throws {
        let upgrade =
            "GET /a HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        let received = try Conversation.with(service, [.send(upgrade + get("/b", close: true))])
        #expect(received == answer("/a") + answer("/b", close: true))
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
        ("GET /a HTTP/0.8\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported"),
        ("GET /a HTTP/1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        ("GET /a HTTP/x.y\r\nHost: a\r\n\r\n", "400 Bad Request"),
        ("GET /a HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "400 Bad Request"),
        (
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\nb",
            "400 Bad Request"
        ),
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
    func `rejects an invalid request and closes the connection`(text: String, status: String) throws
    {
        // Bytes after the invalid request are ignored.
        let received = try Conversation.with(service, [.send(text + get("/b"))])
        #expect(received.hasPrefix("HTTP/1.1 \(status)\r\n"))
        #expect(received.contains("\r\nConnection: close\r\n"))
        #expect(received.count(of: "HTTP/1.1 ") == 1)
        #expect(service.requests.isEmpty)
    }

    @Test(arguments: ["GET /a HT", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"])
    func `responds with 400 to an incomplete request`(text: String) throws {
        let received = try Conversation.with(service, [.send(text), .end])
        #expect(received.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        #expect(service.requests.isEmpty)
    }

    @Test func `responds to a client that has shut down its write side`() throws {
        let received = try Conversation.with(service, [.send(get("/a") + get("/b")), .end])
        #expect(received == answer("/a") + answer("/b"))
    }

    @Test func `accepts a header of up to 64 KiB and 1,024 fields`() throws {
        func request(_ count: Int) -> String {
            let others = "Host: testConnection: closeX: ".utf8.count + 3 * 2 - 3
            return "GET /a HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX: "
                + String(repeating: "x", count: count - others) + "\r\n\r\n"
        }
        let tooLarge = "HTTP/1.1 431 Request Header Fields Too Large\r\n"
        #expect(
            try Conversation.with(service, [.send(request(64 << 10))]) == answer("/a", close: true))
        for size in [(64 << 10) + 1, 1_100_000] {
            #expect(try Conversation.with(service, [.send(request(size))]).hasPrefix(tooLarge))
        }
        let fields = String(repeating: "X: y\r\n", count: 1_100)
        let tooMany = try Conversation.with(
            service, [.send("GET /a HTTP/1.1\r\nHost: test\r\n\(fields)\r\n")])
        #expect(tooMany.hasPrefix(tooLarge))
    }

    @Test func `accepts a request line of up to 16 KiB`() throws {
        func request(_ count: Int) -> String {
            get("/a?" + String(repeating: "\u{301}", count: (count - 16) / 2), close: true)
        }
        #expect(
            try Conversation.with(service, [.send(request(16 << 10))]) == answer("/a", close: true))
        for size in [(16 << 10) + 2, 1 << 20] {
            let received = try Conversation.with(service, [.send(request(size))])
            #expect(received.hasPrefix("HTTP/1.1 414 Request URI Too Long\r\n"))
        }
    }

    @Test func `accepts line feeds without carriage returns, as nsqd does`() throws {
        let text = "POST /a HTTP/1.1\nHost: test\nConnection: close\nContent-Length: 4\n\nbody"
        #expect(try Conversation.with(service, [.send(text)]) == answer("/abody", close: true))
    }

    @Test func `ignores the transfer encoding of HTTP 1.0, as nsqd does`() throws {
        for field in ["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"] {
            let text = "POST /a HTTP/1.0\r\n\(field)\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
            #expect(
                try Conversation.with(service, [.send(text)])
                    == "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n/a")
        }
    }

    @Test func `processes HTTP 1.5 as 1.1`() throws {
        let text = "GET /a HTTP/1.5\r\nHost: test\r\nConnection: close\r\n\r\n"
        #expect(try Conversation.with(service, [.send(text)]) == answer("/a", close: true))
    }
}

@Suite(.blocking) struct `A body that the service does not collect` {
    let service = TestService()

    @Test func `is rejected by its announced length before it is read`() throws {
        service.plan = { _ in .collect(limit: 10, tooLarge: HTTPResponse(status: 413)) }
        let head = "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n"
        let refusal =
            "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        #expect(try Conversation.with(service, [.send(head + "\r\n")]) == refusal)
        // The server does not send 100 Continue either.
        #expect(
            try Conversation.with(service, [.send(head + "Expect: 100-continue\r\n\r\n")])
                == refusal)
        #expect(service.requests.isEmpty)
    }

    @Test func `is rejected when its chunks exceed the limit`() throws {
        service.plan = { _ in .collect(limit: 10, tooLarge: HTTPResponse(status: 413)) }
        func chunked(_ body: String) -> String {
            "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "5\r\nfirst\r\n\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
        }
        let received = try Conversation.with(
            service, [.send(chunked("12345") + chunked("123456") + get("/b", close: true))])
        #expect(
            received == answer("/afirst12345")
                + "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\n\r\n"
                + answer("/b", close: true))
    }

    @Test func `is skipped before the next request, unless it is too long`() throws {
        service.plan = { request in
            request.target.path == "/no" ? .refuse(HTTPResponse(status: 404)) : .skip
        }
        let body = String(repeating: "x", count: 200_000)
        let refusal = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
        let received = try Conversation.with(
            service, [.send(post("/no", body) + post("/a", body) + get("/b", close: true))])
        #expect(received == refusal + "\r\n" + answer("/a") + answer("/b", close: true))
        let long = try Conversation.with(service, [.send(post("/no", body + body) + get("/b"))])
        #expect(long == refusal + "Connection: close\r\n\r\n")
    }

    @Test func `closes the connection when it is chunked and too long to skip`() throws {
        service.plan = { _ in .skip }
        let chunk = "fa0\r\n" + String(repeating: "x", count: 4000) + "\r\n"
        let head = "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        let received = try Conversation.with(
            service, [.send(head), .expect("/a")] + Array(repeating: .send(chunk), count: 200))
        #expect(received == answer("/a"))
    }
}

@Suite(.blocking) struct `An HTTP server with slow clients` {
    let service = TestService()

    @Test func `does not read from a client that does not read`() throws {
        let size = 64 << 10
        let requestCount = 2_000
        service.respond = { _, respond in
            respond(HTTPResponse(status: 200, body: Array(repeating: 0x78, count: size)))
        }
        var server: HTTPServer?
        var receivedBytes = 0
        try onLoop { loop in
            server = HTTPServer(serving: service, on: loop)
            let address = try server!.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            let reader = SlowReader { count in
                receivedBytes += count
            } onEnd: {
                server?.stop { server = nil }
            }
            Stream.connect(to: address, on: loop) { result in
                guard let stream = try? result.get() else { return }
                stream.reader = reader
                reader.send(get("/"), count: requestCount, on: stream)
                // The client reads nothing, so the server stops reading requests. The check follows
                // when the service has received no request for a while.
                reader.whenStill(service, on: loop) { [service] in
                    // The socket buffers hold about two megabytes.
                    #expect(service.requests.count < requestCount / 4)
                    stream.startReading()
                }
            }
        }
        #expect(service.requests.count == requestCount + 1)
        #expect(receivedBytes > requestCount * size)
    }

    @Test func `sends pending responses before it stops`() throws {
        var received: [String] = []
        try onLoop { loop in
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            service.respond = { request, respond in
                server.stop { received.append("stopped") }
                let timer = Timer(on: loop)
                timer.start(after: .milliseconds(5)) {
                    timer.close()
                    respond(HTTPResponse(status: 200, body: Array("late".utf8)))
                }
            }
            // An idle client, one with an incomplete request, and one with a pending response.
            for text in ["", "GET /a HT", get("/slow")] {
                let client = Client(loop, address, text) { received.append($0) }
                client.start(after: text == get("/slow") ? .milliseconds(20) : .zero)
            }
        }
        #expect(received.sorted() == ["", "", answer("late", close: true), "stopped"])
        #expect(received.last == "stopped")
    }
}

@Suite(.blocking) struct `An HTTP server with many requests` {
    @Test func `processes them for 5 ms per loop iteration, and the others later`() throws {
        let service = TestService()
        let count = 60
        var processed: [Int: Int] = [:]
        var received: [String] = []
        try onLoop(clock: .manual) { loop in
            service.respond = { _, respond in
                processed[loop.iteration, default: 0] += 1
                loop.advance(by: .milliseconds(1))
                respond(HTTPResponse(status: 200, body: []))
            }
            let server = HTTPServer(serving: service, on: loop)
            let address = try server.listen(at: SocketAddress(host: "127.0.0.1", port: 0))
            for number in 1...count {
                let client = Client(loop, address, number == 1 ? get("/") + get("/") : get("/")) {
                    received.append($0)
                }
                client.startAtOnce()
            }
            var iterations = 0
            // When the first request is processed, all clients have sent theirs. On a very slow
            // machine they have not; then the test passes even if the server has the fault.
            func stopWhenProcessed() {
                iterations += 1
                guard processed.values.reduce(0, +) < count + 1, iterations < 1_000_000 else {
                    return server.stop { withExtendedLifetime((server, service)) {} }
                }
                loop.runInNextIteration(stopWhenProcessed)
            }
            loop.runInNextIteration(stopWhenProcessed)
        }
        #expect(processed.values.reduce(0, +) == count + 1)
        // The server processes 5 requests per portion. The number of an iteration can cover one
        // portion and the start of the next one, so up to 10 requests.
        #expect(processed.values.max()! <= 10)
        #expect(received.allSatisfy { $0.hasPrefix(answer("")) })
        #expect(received.count == count)
    }
}

@Suite(.blocking) struct `An HTTP server with malformed input` {
    /// The requests have bytes changed, removed and repeated; a seed determines which.
    @Test(arguments: 1...300) func `responds or closes the connection`(seed: Int) throws {
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
        // The conversation ends, and what the server sent is HTTP.
        let received = try Conversation.with(service, steps + [.end])
        #expect(received.isEmpty || received.hasPrefix("HTTP/1."), "seed \(seed)")
    }
}
