import PlayCounts
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import HTTP
@testable import LivePage

@Suite(.blocking, .timeLimit(.minutes(5))) struct `The connections to the page` {
    @Test func `are refused beyond the maximum until another has ended`() async throws {
        let test = try await TestPage.start { $0.maxConnections = 3 }
        var idle = try (0..<3).map { _ in try BlockingSocket(to: test.page.address) }
        // A connection counts when the page has accepted it.
        var refusal = try test.get("/videos")
        while refusal.status == 200 { refusal = try test.get("/videos") }
        #expect(refusal.status == 503)
        #expect(refusal.body == "too many connections to the page\n")
        #expect(refusal.headers["retry-after"] == "5")
        idle.removeLast()
        while try test.get("/videos").status != 200 {}
        withExtendedLifetime(idle) {}
        await test.page.stop()
    }

    @Test func `are limited by the file descriptors of the process`() {
        #expect(PageSettings().maxConnections == max(1, DescriptorLimit.forConnections / 8))
    }

    @Test func `of a client that sends HEAD to the events add no browser`() async throws {
        let test = try await TestPage.start { $0.maxSubscribers = 1 }
        let socket = try BlockingSocket(to: test.page.address)
        socket.send("HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(
            String(decoding: socket.receive(atMost: 4096), as: UTF8.self).hasPrefix("HTTP/1.1 200 ")
        )
        let browser = try EventReader(test.page)
        #expect(browser.head.contains(" 200 "))
        withExtendedLifetime(socket) {}
        await test.page.stop()
    }
}

@Suite(.blocking) struct `The names of the page` {
    /// Returns whether a page at `address` accepts a request with this `Host`.
    private func isAccepted(
        _ host: String, at address: String, _ hosts: [String] = []
    ) throws -> Bool {
        let fixture = try PageServerFixture { $0.hosts = hosts }
        let routes = PageRoutes(of: fixture.server)
        defer { withExtendedLifetime(fixture) {} }
        routes.setAddress(SocketAddress(host: address, port: 4180))
        var headers = HTTPHeaders()
        headers.startField()
        headers.append(name: "Host".utf8)
        headers.append(value: host.utf8)
        let request = HTTPRequest(
            method: "GET", target: try #require(HTTPTarget("/videos")), headers: headers,
            bodyLength: .bytes(0), peer: "127.0.0.1:1", isEncrypted: false, isOnLoopback: true)
        switch routes.bodyPlan(for: request) {
        case .skip: return true
        case .refuse(let response):
            #expect(response.status == 421)
            return false
        case .collect, .stream: throw EventReader.NoEvent()
        }
    }

    @Test(arguments: ["127.0.0.1", "::1", "0.0.0.0", "192.168.7.1"])
    func `contain no name of another site`(address: String) throws {
        for host in [
            "evil.example", "evil-127.0.0.1", "evil-localhost", "127.0.0.1.evil.example",
            "127.0.0.1:80.evil.example", "",
        ] {
            #expect(try !isAccepted(host, at: address), "\(host)")
        }
        #expect(try isAccepted("localhost:4180", at: address))
        #expect(try isAccepted("127.0.0.1:4180", at: address))
    }

    @Test func `contain numeric addresses if the page is not on a loopback address`() throws {
        for host in ["192.168.7.1:4180", "[fe80::1]:4180"] {
            #expect(try isAccepted(host, at: "0.0.0.0"))
            #expect(try !isAccepted(host, at: "127.0.0.1"))
        }
    }

    @Test(arguments: ["127.0.0.1", "0.0.0.0"])
    func `contain those of the settings`(address: String) throws {
        #expect(try isAccepted("Tally.example:80", at: address, ["tally.example"]))
        #expect(try !isAccepted("x.tally.example", at: address, ["tally.example"]))
    }
}

/// A client's sink that answers when the test wants it to.
private final class TestSink: Sink {
    var answers: [(Result<Void, SinkError>) -> Void] = []

    func send(_ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void) {
        answers.append(completion)
    }
}

@Suite(.blocking, .timeLimit(.minutes(5))) struct `The calls of a client on the page` {
    @Test func `are shown when the client has accepted them, and not when it has refused them`()
        async throws
    {
        let test = try await TestPage.start()
        let loop = try Loop()
        let client = TestSink()
        let sink = test.page.sink(on: loop, showing: client)
        let events = try EventReader(test.page)
        _ = try events.next("state")
        var calls = Calls()
        var outcomes: [Bool] = []
        for number in 1...2 {
            for call in calls.play([number], at: loop.instant) {
                sink.send(call) { outcomes.append((try? $0.get()) != nil) }
            }
        }
        client.answers[0](.failure(.busy))
        client.answers[1](.success(()))
        #expect(outcomes == [false, true])
        #expect(try events.next("call").json(as: CallJSON.self).number == 2)
        await test.page.stop()
        loop.close()
    }
}
