import NSQBroker
import TestKit
import TestTraits
import Testing
import UVLoop

/// NSQ documentation, “nsqlookupd”. A broker registers at each nsqlookupd that its flags name,
/// independently of the others.
@Suite(.blocking) struct `Several nsqlookupds` {
    let first: FakeLookupd
    let second: FakeLookupd

    init() throws {
        first = try FakeLookupd()
        second = try FakeLookupd()
    }

    private func start() async throws -> HTTPProbe {
        var options = ServerOptions()
        // A busy machine may delay the test itself.
        options.lookup.timeout = .seconds(300)
        options.lookup.tcpAddresses = [first, second].map(\.tcp.address)
        return try await HTTPProbe.start { $0 = options }
    }

    /// Accepts both connections, and returns when each is fully registered: a command about a change
    /// shows that the broker has read the earlier responses.
    ///
    /// nsqd connects to one after the other, and disconnects after a second without a response.
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
        // nsqd may repeat the registration.
        if commands.first == "REGISTER early" { commands = connections.map { $0.command() } }
        #expect(commands == ["REGISTER early own", "REGISTER early own"])
        return connections
    }

    /// Subscribes and publishes, which creates a topic. nsqd responds `OK` only after all channel
    /// requests have ended.
    private func use(_ topic: String, of nsqd: HTTPProbe) throws -> RawClient {
        let client = try RawClient(to: nsqd.tcpAddress)
        client.tell("SUB \(topic) own")
        client.tell("PUB \(topic)", body: "play")
        return client
    }

    /// Expects these channels of the topic, and a copy of the message in each.
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

    @Test func `each receive every topic and channel`() async throws {
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

    @Test func `receive concurrent channel requests, and a new topic gets all channels`()
        async throws
    {
        let nsqd = try await start()
        let connections = try greetBoth(nsqd, haveHTTP: true)
        let client = try use("plays", of: nsqd)
        let requests = try [first, second].map { try $0.request(forChannelsOf: "plays") }
        requests[1].respond(#"{"channels":["b","both"]}"#)
        requests[0].respond(#"{"channels":["both","brief#ephemeral","a"]}"#)
        #expect(client.response() == "OK")
        #expect(client.response() == "OK")
        client.tell("RDY 1")
        #expect(client.message().body == "play")
        try expect(["a", "b", "both", "own"], of: "plays", in: nsqd)
        withExtendedLifetime(connections) {}
        await nsqd.stop()
    }

    @Test(arguments: [404, 500])
    func `provide channels when one of them fails`(status: Int) async throws {
        let nsqd = try await start()
        let connections = try greetBoth(nsqd, haveHTTP: true)
        let client = try use("plays", of: nsqd)
        try first.request(forChannelsOf: "plays").respond(#"{"message":"NO"}"#, status: status)
        try second.request(forChannelsOf: "plays").respond(#"{"channels":["elsewhere"]}"#)
        #expect(client.response() == "OK")
        #expect(client.response() == "OK")
        client.tell("RDY 1")
        #expect(client.message().body == "play")
        try expect(["elsewhere", "own"], of: "plays", in: nsqd)
        withExtendedLifetime(connections) {}
        await nsqd.stop()
    }

    @Test func `receive changes after one of them has disconnected`() async throws {
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
