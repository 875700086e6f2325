import Foundation
@testable import NSQBroker
import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

/// NSQ documentation, “nsqlookupd”, and nsqd's side of it.
@Suite(.blocking) struct `A broker with an nsqlookupd` {
    let lookupd: FakeLookupd

    init() throws { lookupd = try FakeLookupd() }

    private func start(
        clock: Loop.Clock = .system, _ change: (inout ServerOptions) -> Void = { _ in }
    ) async throws -> HTTPProbe {
        var services = ServerOptions()
        // A busy machine may delay the test itself.
        services.lookup.timeout = .seconds(300)
        services.lookup.tcpAddresses = [lookupd.tcp.address]
        change(&services)
        return try await HTTPProbe.start(clock: clock) { $0 = services }
    }

    @Test func `registers its addresses and every new topic and channel`() async throws {
        let nsqd = try await start { $0.addresses.broadcast = "here" }
        let (connection, identity) = try lookupd.greet(hasHTTP: false)
        #expect(identity["tcp_port"] as? Int == nsqd.tcpAddress.port)
        #expect(identity["http_port"] as? Int == nsqd.httpAddress.port)
        #expect(identity["broadcast_address"] as? String == "here")
        #expect(identity["version"] as? String == "1.3.0")
        #expect((identity["hostname"] as? String)?.isEmpty == false)
        _ = try nsqd.post("/topic/create?topic=plays")
        #expect(connection.command() == "REGISTER plays")
        _ = try nsqd.post("/channel/create?topic=plays&channel=brief%23ephemeral")
        #expect(connection.command() == "REGISTER plays brief#ephemeral")
        _ = try nsqd.post("/channel/delete?topic=plays&channel=brief%23ephemeral")
        #expect(connection.command() == "UNREGISTER plays brief#ephemeral")
        _ = try nsqd.post("/channel/create?topic=plays&channel=count")
        #expect(connection.command() == "REGISTER plays count")
        _ = try nsqd.post("/topic/delete?topic=plays")
        #expect(Set(connection.commands(2)) == ["UNREGISTER plays", "UNREGISTER plays count"])
        await nsqd.stop()
        #expect(connection.socket.receiveAll() == [], "the broker closes without a command")
    }

    @Test(.ours("a new topic waits for what it asks there"))
    func `requests the channels of at most 16 topics at once`() async throws {
        let nsqd = try await start { $0.httpClient.requestTimeout = .seconds(300) }
        let connection = try lookupd.greet().connection
        // A later command shows that the broker has read the response to IDENTIFY.
        _ = try nsqd.post("/topic/create?topic=first")
        _ = connection.command()
        for number in 1...20 { _ = try nsqd.post("/topic/create?topic=t\(number)") }
        var requests: [BlockingSocket] = []
        while requests.count < LookupRegistrar.maxLookups {
            requests.append(try lookupd.http.accept())
        }
        #expect(try nsqd.get("/ping").body == "OK")
        #expect(!lookupd.http.hasConnection)
        for _ in 1...4 {
            requests.removeFirst().respond(#"{"channels":[]}"#)
            requests.append(try lookupd.http.accept())
        }
        #expect(try nsqd.get("/ping").body == "OK")
        #expect(!lookupd.http.hasConnection)
        for request in requests { request.respond(#"{"channels":[]}"#) }
        await nsqd.stop()
    }

    @Test func `sends a PING every 15 seconds`() async throws {
        let nsqd = try await start(clock: .manual)
        let connection = try lookupd.greet().connection
        var elapsedSeconds = 0
        while !connection.socket.isReadable() {
            try await nsqd.advance(by: .seconds(1))
            elapsedSeconds += 1
        }
        #expect(elapsedSeconds >= 14)
        #expect(connection.command() == "PING")
        await nsqd.stop()
    }

    @Test func `registers the configured broadcast ports`() async throws {
        let nsqd = try await start {
            $0.addresses.broadcastTCPPort = 1
            $0.addresses.broadcastHTTPPort = 2
        }
        let (_, identity) = try lookupd.greet()
        #expect(identity["tcp_port"] as? Int == 1)
        #expect(identity["http_port"] as? Int == 2)
        #expect(try nsqd.get("/config/broadcast_http_port").body == "2")
        await nsqd.stop()
    }

    @Test func `registers topics that existed before the start`() async throws {
        let folder = try TemporaryFolder()
        let before = try await HTTPProbe.start { $0.disk.dataPath = folder.url.path }
        for topic in ["alone", "plays"] { _ = try before.post("/topic/create?topic=\(topic)") }
        _ = try before.post("/channel/create?topic=plays&channel=count")
        await before.stop()
        let nsqd = try await start { $0.disk.dataPath = folder.url.path }
        let connection = try lookupd.greet(hasHTTP: false).connection
        var wanted: Set = ["REGISTER alone", "REGISTER plays count"]
        // nsqd repeats some registrations, and registers topics with channels separately, too.
        for _ in 0..<(HTTPProbe.isForeign ? 6 : 2) where !wanted.isEmpty {
            wanted.remove(connection.command())
        }
        #expect(wanted.isEmpty)
        await nsqd.stop()
    }

    @Test(.ours("it says some of it twice, and in no order"))
    func `registers everything again after the connection was lost`() async throws {
        let nsqd = try await start()
        let first = try lookupd.greet().connection
        _ = try nsqd.post("/topic/create?topic=alone")
        _ = try nsqd.post("/topic/create?topic=plays")
        #expect(first.commands(2) == ["REGISTER alone", "REGISTER plays"])
        _ = try nsqd.post("/channel/create?topic=plays&channel=a")
        _ = try nsqd.post("/channel/create?topic=plays&channel=b")
        #expect(first.commands(2) == ["REGISTER plays a", "REGISTER plays b"])
        first.socket.end()
        let second = try lookupd.greet().connection
        #expect(second.commands(3) == ["REGISTER alone", "REGISTER plays a", "REGISTER plays b"])
        await nsqd.stop()
    }

    @Test(.ours("a new topic waits for what it asks there"))
    func `does not wait for a blocked nsqlookupd`() async throws {
        // The clock does not advance, so the timeout for nsqlookupd cannot end a wait.
        let nsqd = try await start(clock: .manual)
        let connection = try lookupd.greet().connection
        let producer = try RawClient(to: nsqd.tcpAddress)
        for number in 1...20 {
            producer.tell("PUB topic\(number)", body: "play")
            #expect(producer.response() == "OK")
        }
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.tell("SUB topic1 count")
        #expect(consumer.response() == "OK")
        // The broker sends no second command before the response to the first.
        #expect(connection.socket.receiveLine() == "REGISTER topic1")
        #expect(!connection.socket.isReadable())
        connection.respond("OK")
        #expect(connection.command().hasPrefix("REGISTER topic"))
        await nsqd.stop()
    }

    @Test(.ours("nsqd has a timeout of 1 s and retries every 15 s"))
    func `reconnects after the shortest delay once an attempt has succeeded`() async throws {
        let nsqd = try await start(clock: .manual)
        // Each failure doubles the delay before the next attempt.
        for _ in 1...5 {
            try lookupd.tcp.accept().end()
            try await advance(nsqd, untilCalledWithin: .seconds(15))
        }
        try lookupd.greet().connection.socket.end()
        try await advance(nsqd, untilCalledWithin: .milliseconds(250))
        await nsqd.stop()
    }

    /// Advances the broker's clock until it connects again.
    private func advance(_ nsqd: HTTPProbe, untilCalledWithin limit: Duration) async throws {
        // The broker has read the end of its connection when it answers this request.
        _ = try nsqd.get("/ping")
        var elapsed = Duration.zero
        while !lookupd.tcp.hasConnection, elapsed < limit {
            try await nsqd.advance(by: .milliseconds(10))
            elapsed += .milliseconds(10)
        }
        #expect(lookupd.tcp.hasConnection)
    }

    @Test(.ours("nsqd has a timeout of 1 s and retries every 15 s"))
    func `reconnects to a blocked nsqlookupd after the timeout`() async throws {
        let timeout = Duration.milliseconds(50)
        let nsqd = try await start(clock: .manual) { $0.lookup.timeout = timeout }
        for _ in 1...3 {
            let socket = try lookupd.tcp.accept()
            #expect(socket.receive(12) == Array("  V1IDENTIFY".utf8))
            try await nsqd.advance(by: timeout)
            _ = socket.receiveAll()
            try await advance(nsqd, untilCalledWithin: .seconds(15))
        }
        await nsqd.stop()
    }

    @Test(.ours("it lets the clients wait as well"))
    func `holds the first messages of a topic until it has the channels of other brokers`()
        async throws
    {
        let nsqd = try await start()
        let connection = try lookupd.greet().connection
        // A later command shows that the broker has read the response to IDENTIFY.
        _ = try nsqd.post("/topic/create?topic=first")
        _ = connection.command()

        let producer = try RawClient(to: nsqd.tcpAddress)
        producer.ask("PUB plays", body: "play")
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask("SUB plays own")
        #expect(try nsqd.topic("plays")?["depth"] as? Int == 1)
        #expect(try nsqd.channel("plays", "own")?["message_count"] as? Int == 0)
        let request = try lookupd.request(forChannelsOf: "plays")
        request.respond(#"{"channels":["elsewhere","brief#ephemeral","no name"]}"#)
        consumer.tell("RDY 1")
        #expect(consumer.message().body == "play")
        #expect(try nsqd.channel("plays", "elsewhere")?["depth"] as? Int == 1)
        #expect(try nsqd.channel("plays", "brief%23ephemeral") == nil)
        await nsqd.stop()
    }

    @Test func `dispatches messages to the channels of other brokers after a restart`() async throws
    {
        let folder = try TemporaryFolder()
        let nsqd = try await start { $0.disk.dataPath = folder.url.path }
        let connection = try lookupd.greet().connection
        _ = try nsqd.post("/topic/create?topic=first")
        _ = connection.command()
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("SUB plays own")
        client.tell("PUB plays", body: "play")
        let request = try lookupd.request(forChannelsOf: "plays")
        request.respond(#"{"channels":["elsewhere"]}"#)
        #expect(client.socket.receive(20).count == 20, "OK twice")
        client.tell("RDY 1")
        #expect(client.message().body == "play")
        await nsqd.stop()
        let next = try await HTTPProbe.start { $0.disk.dataPath = folder.url.path }
        for name in ["own", "elsewhere"] {
            #expect(try next.channel("plays", name)?["depth"] as? Int == 1, "\(name)")
        }
        await next.stop()
    }

    @Test func `dispatches messages when the channel request times out`() async throws {
        let nsqd = try await start { $0.httpClient.requestTimeout = .milliseconds(200) }
        let connection = try lookupd.greet().connection
        _ = try nsqd.post("/topic/create?topic=first")
        _ = connection.command()
        let consumer = try RawClient(to: nsqd.tcpAddress)
        consumer.ask("SUB plays count")
        consumer.ask("PUB plays", body: "play")
        consumer.tell("RDY 1")
        #expect(consumer.message().body == "play")
        await nsqd.stop()
    }

    @Test func `connects to another nsqlookupd when its addresses change over HTTP`() async throws {
        let nsqd = try await start { $0.lookup.tcpAddresses = [] }
        let path = "/config/nsqlookupd_tcp_addresses"
        let addresses = #"["\#(lookupd.tcp.address)","127.0.0.1:1","nonsense"]"#
        #expect(try nsqd.request("PUT", path, Array(addresses.utf8)).body == addresses)
        let connection = try lookupd.greet().connection
        #expect(try nsqd.request("PUT", path, Array("[]".utf8)).body == "[]")
        #expect(connection.socket.receiveAll() == [])
        await nsqd.stop()
    }

    /// `NSQLOOKUPD` names the program.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["NSQLOOKUPD"] != nil))
    func `is found through a real nsqlookupd`() async throws {
        let program = ProcessInfo.processInfo.environment["NSQLOOKUPD"]!
        let process = try BuiltProcess(
            ["--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"],
            executable: URL(filePath: program))
        func address(_ protocolName: String) throws -> SocketAddress {
            let line = try #require(process.line(containing: "\(protocolName): listening on "))
            return try SocketAddress(parsing: line.split(separator: " ").last!)
        }
        let tcp = try address("TCP")
        let http = try address("HTTP")
        let nsqd = try await start { $0.lookup.tcpAddresses = [tcp.description] }
        _ = try nsqd.post("/topic/create?topic=plays")
        _ = try nsqd.post("/channel/create?topic=plays&channel=count")
        try #require(process.line(containing: "subkey:count") != nil)
        let found = try ReceivedResponse(to: "GET", "/lookup?topic=plays", at: http).json()
        let producers = found["producers"] as? [[String: Any]]
        #expect(producers?.first?["tcp_port"] as? Int == nsqd.tcpAddress.port)
        #expect(producers?.first?["http_port"] as? Int == nsqd.httpAddress.port)
        await nsqd.stop()
        process.send(SIGTERM)
    }
}
