import NSQBroker
import Testing
import UVLoop

/// NSQ, “nsqlookupd”: as many as are named, and each of them stands for itself.
@Suite struct `Several nsqlookupds` {
    let first: FakeLookupd
    let second: FakeLookupd

    init() throws {
        first = try FakeLookupd()
        second = try FakeLookupd()
    }

    private func start() async throws -> HTTPProbe {
        var options = ServerOptions()
        // A test may be kept waiting itself.
        options.lookup.patience = .seconds(300)
        options.lookup.tcpAddresses = [first, second].map(\.tcp.address.description)
        return try await HTTPProbe.start { $0 = options }
    }

    /// Takes both connections, until it is certain that each is told of what happens and asked about
    /// a new topic: a command about a change shows that what stands before it was read.
    ///
    /// nsqd goes from one to the other, and gives up who does not answer within a second.
    private func greetBoth(_ nsqd: HTTPProbe, haveHTTP: Bool) throws -> [LookupConnection] {
        let client = try RawClient(to: nsqd.tcpAddress)
        client.ask("PUB early", body: "play")
        let connections = try [first, second].map { lookupd in
            let connection = try lookupd.greet(hasHTTP: haveHTTP).connection
            #expect(connection.command() == "REGISTER early")
            return connection
        }
        client.tell("SUB early own")
        var commands = connections.map { $0.command() }
        // nsqd may say it once more.
        if commands.first == "REGISTER early" { commands = connections.map { $0.command() } }
        #expect(commands == ["REGISTER early own", "REGISTER early own"])
        return connections
    }

    /// Subscribes and publishes, which brings a topic into being. nsqd says `OK` only when all whom
    /// it asks have answered.
    private func use(_ topic: String, of nsqd: HTTPProbe) throws -> RawClient {
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("SUB \(topic) own")
        client.tell("PUB \(topic)", body: "play")
        return client
    }

    /// The topic has these channels, and each its own copy of the message.
    private func expect(_ channels: [String], of topic: String, in nsqd: HTTPProbe) throws {
        let known = try nsqd.topic(topic)?["channels"] as? [[String: Any]] ?? []
        #expect(known.compactMap { $0["channel_name"] as? String } == channels)
        for channel in channels where channel != "own" {
            let consumer = try RawClient(to: nsqd.tcpAddress)
            consumer.ask("SUB \(topic) \(channel)")
            consumer.tell("RDY 1")
            #expect(consumer.message().body == "play", "\(channel)")
        }
    }

    @Test func `are each told of every topic and channel`() async throws {
        let nsqd = try await start()
        let connections = try greetBoth(nsqd, haveHTTP: false)
        for (request, command) in [
            ("/topic/create?topic=plays", "REGISTER plays"),
            ("/channel/create?topic=plays&channel=count", "REGISTER plays count"),
            ("/channel/delete?topic=plays&channel=count", "UNREGISTER plays count"),
            ("/topic/delete?topic=plays", "UNREGISTER plays"),
        ] {
            _ = try nsqd.post(request)
            #expect(connections.map { $0.command() } == [command, command])
        }
        await nsqd.stop()
        for connection in connections { #expect(connection.socket.receiveAll() == []) }
    }

    @Test func `are all asked at once for the channels of a new topic, which gets all of them`()
        async throws
    {
        let nsqd = try await start()
        let connections = try greetBoth(nsqd, haveHTTP: true)
        let client = try use("plays", of: nsqd)
        let questions = try [first, second].map { try $0.question(about: "plays") }
        questions[1].answer(#"{"channels":["b","both"]}"#)
        questions[0].answer(#"{"channels":["both","brief#ephemeral","a"]}"#)
        #expect(client.answer() == "OK")
        #expect(client.answer() == "OK")
        client.tell("RDY 1")
        #expect(client.message().body == "play")
        try expect(["a", "b", "both", "own"], of: "plays", in: nsqd)
        withExtendedLifetime(connections) {}
        await nsqd.stop()
    }

    @Test(arguments: [404, 500])
    func `are of use when one of them has no answer`(status: Int) async throws {
        let nsqd = try await start()
        let connections = try greetBoth(nsqd, haveHTTP: true)
        let client = try use("plays", of: nsqd)
        try first.question(about: "plays").answer(#"{"message":"NO"}"#, status: status)
        try second.question(about: "plays").answer(#"{"channels":["elsewhere"]}"#)
        #expect(client.answer() == "OK")
        #expect(client.answer() == "OK")
        client.tell("RDY 1")
        #expect(client.message().body == "play")
        try expect(["elsewhere", "own"], of: "plays", in: nsqd)
        withExtendedLifetime(connections) {}
        await nsqd.stop()
    }

    @Test func `are told when one of them has gone`() async throws {
        let nsqd = try await start()
        let connections = try greetBoth(nsqd, haveHTTP: false)
        connections[0].socket.end()
        _ = try nsqd.post("/topic/create?topic=plays")
        #expect(connections[1].command() == "REGISTER plays")
        _ = try nsqd.post("/channel/create?topic=plays&channel=count")
        #expect(connections[1].command() == "REGISTER plays count")
        await nsqd.stop()
    }
}
