import NSQWire
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import NSQLookup

/// `nsqlookupd/lookup_protocol_v1.go` in NSQ, over sockets, with our nsqlookupd or the one of
/// `NSQLOOKUPD_PROGRAM`.
@Suite(.blocking) struct `The protocol of nsqlookupd` {
    @Test func `responds to IDENTIFY with the addresses of nsqlookupd`() async throws {
        let lookupd = try await LookupProbe.start { $0.broadcastAddress = "lookup.example" }
        let client = try lookupd.client()
        client.identify(
            #"{"version":"1","tcp_port":1,"http_port":2,"broadcast_address":"b","other":[1]}"#)
        let response = try #require(client.response())
        let port = { (address: String) in address.split(separator: ":").last! }
        let start =
            #"{"broadcast_address":"lookup.example","hostname":""#
        #expect(response.hasPrefix(start))
        #expect(
            response.hasSuffix(
                #"","http_port":\#(port(lookupd.httpAddress)),"#
                    + #""tcp_port":\#(port(lookupd.tcpAddress)),"version":"1.3.0"}"#))
        await lookupd.stop()
    }

    @Test func `refuses another protocol and closes the connection`() async throws {
        let lookupd = try await LookupProbe.start()
        let client = try LookupClient(to: lookupd.tcpAddress, magic: "  V2")
        #expect(client.response() == "E_BAD_PROTOCOL")
        #expect(client.response() == nil)
        await lookupd.stop()
    }

    @Test(arguments: [
        ("", "E_INVALID invalid command "),
        ("NOPE x", "E_INVALID invalid command NOPE"),
        ("ping", "E_INVALID invalid command ping"),
        ("REGISTER plays", "E_INVALID client must IDENTIFY"),
        ("UNREGISTER", "E_INVALID client must IDENTIFY"),
    ])
    func `closes the connection after an invalid command`(
        line: String, error: String
    ) async throws {
        let lookupd = try await LookupProbe.start()
        let client = try lookupd.client()
        #expect(client.ask(line) == error)
        #expect(client.response() == nil)
        await lookupd.stop()
    }

    @Test(arguments: [
        ("REGISTER", "E_INVALID REGISTER insufficient number of params"),
        ("UNREGISTER", "E_INVALID UNREGISTER insufficient number of params"),
        ("REGISTER a$", "E_BAD_TOPIC REGISTER topic name 'a$' is not valid"),
        ("REGISTER  a", "E_BAD_TOPIC REGISTER topic name '' is not valid"),
        ("REGISTER a b?", "E_BAD_CHANNEL REGISTER channel name 'b?' is not valid"),
        ("UNREGISTER a\tb", "E_BAD_TOPIC UNREGISTER topic name 'a\tb' is not valid"),
        ("IDENTIFY", "E_INVALID cannot IDENTIFY again"),
    ])
    func `closes the connection of an nsqd after an invalid command`(
        line: String, error: String
    ) async throws {
        let lookupd = try await LookupProbe.start()
        let nsqd = try lookupd.nsqd()
        #expect(nsqd.ask(line) == error)
        #expect(nsqd.response() == nil)
        await lookupd.stop()
    }

    @Test func `repeats the bytes of an invalid name`() async throws {
        let lookupd = try await LookupProbe.start()
        let nsqd = try lookupd.nsqd()
        nsqd.socket.send(Array("REGISTER a".utf8) + [0xff, 0x0a])
        let start = Array("E_BAD_TOPIC REGISTER topic name 'a".utf8)
        #expect(nsqd.responseBytes() == start + [0xff] + Array("' is not valid".utf8))
        await lookupd.stop()
    }

    @Test(arguments: [
        ("nope", "E_BAD_BODY IDENTIFY failed to decode JSON body"),
        ("[]", "E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (#"{"tcp_port":"1"}"#, "E_BAD_BODY IDENTIFY failed to decode JSON body"),
        (#"{"tcp_port":1.0}"#, "E_BAD_BODY IDENTIFY failed to decode JSON body"),
        ("{}", "E_BAD_BODY IDENTIFY missing fields"),
        ("null", "E_BAD_BODY IDENTIFY missing fields"),
        (
            #"{"version":"1","tcp_port":0,"http_port":2,"broadcast_address":"b"}"#,
            "E_BAD_BODY IDENTIFY missing fields"
        ),
    ])
    func `refuses a body of IDENTIFY`(body: String, error: String) async throws {
        let lookupd = try await LookupProbe.start()
        let client = try lookupd.client()
        client.identify(body)
        #expect(client.response() == error)
        #expect(client.response() == nil)
        await lookupd.stop()
    }

    @Test func `reports a body of IDENTIFY that ends early`() async throws {
        let lookupd = try await LookupProbe.start()
        let short = try lookupd.client()
        short.identify(length: 10, "{}")
        short.socket.end()
        #expect(short.response() == "E_BAD_BODY IDENTIFY failed to read body")
        let missing = try lookupd.client()
        missing.socket.send("IDENTIFY\n".utf8)
        missing.socket.end()
        #expect(missing.response() == "E_BAD_BODY IDENTIFY failed to read body size")
        await lookupd.stop()
    }

    @Test func `accepts PING at any time, and white space around a command`() async throws {
        let lookupd = try await LookupProbe.start()
        let client = try lookupd.client()
        #expect(client.ask("PING") == "OK")
        #expect(client.ask(" \tPING \u{a0}\r") == "OK")
        let nsqd = try lookupd.nsqd()
        #expect(nsqd.ask("PING any thing") == "OK")
        #expect(nsqd.ask("REGISTER plays  counts") == "OK")
        #expect(try lookupd.names("topics", "/topics") == ["plays"])
        #expect(try lookupd.names("channels", "/channels?topic=plays") == [])
        await lookupd.stop()
    }

    @Test func `registers and unregisters topics and channels`() async throws {
        let lookupd = try await LookupProbe.start()
        let nsqd = try lookupd.nsqd()
        #expect(nsqd.ask("REGISTER plays counts") == "OK")
        #expect(nsqd.ask("REGISTER plays temp#ephemeral") == "OK")
        #expect(try lookupd.names("topics", "/topics") == ["plays"])
        #expect(
            try lookupd.names("channels", "/lookup?topic=plays") == ["counts", "temp#ephemeral"])
        #expect(nsqd.ask("UNREGISTER plays temp#ephemeral") == "OK")
        #expect(nsqd.ask("UNREGISTER plays counts") == "OK")
        #expect(try lookupd.names("channels", "/channels?topic=plays") == ["counts"])
        #expect(try lookupd.producers("/lookup?topic=plays").count == 1)
        #expect(nsqd.ask("UNREGISTER plays") == "OK")
        #expect(nsqd.ask("UNREGISTER unknown") == "OK")
        #expect(try lookupd.producers("/lookup?topic=plays").isEmpty)
        #expect(try lookupd.names("topics", "/topics") == ["plays"])
        await lookupd.stop()
    }

    @Test func `removes the nsqd of a connection that ends`() async throws {
        let lookupd = try await LookupProbe.start()
        var nsqd: LookupClient? = try lookupd.nsqd()
        #expect(nsqd?.ask("REGISTER plays counts") == "OK")
        #expect(try lookupd.producers("/nodes").count == 1)
        nsqd = nil
        #expect(try eventually { try lookupd.producers("/nodes").isEmpty })
        #expect(try lookupd.producers("/lookup?topic=plays").isEmpty)
        #expect(try lookupd.names("channels", "/channels?topic=plays") == ["counts"])
        await lookupd.stop()
    }
}

/// Limits that protect our nsqlookupd from its clients. A negative body length crashes the original.
@Suite(.blocking, .ours("the original has no limits")) struct `The limits of nsqlookupd` {
    @Test(arguments: [
        (Int32(-1), "E_BAD_BODY IDENTIFY invalid body size -1"),
        (65_537, "E_BAD_BODY IDENTIFY body too big 65537 > 65536"),
    ])
    func `refuse the length of a body`(length: Int32, error: String) async throws {
        let lookupd = try await LookupProbe.startOwn()
        let client = try lookupd.client()
        client.identify(length: length, "")
        #expect(client.response() == error)
        #expect(client.response() == nil)
        await lookupd.stop()
    }

    @Test func `accept a body of the maximum length`() async throws {
        let lookupd = try await LookupProbe.startOwn()
        let client = try lookupd.client()
        let body =
            #"{"version":"1","tcp_port":1,"http_port":2,"broadcast_address":"b"}"#
        client.identify(body + String(repeating: " ", count: 65_536 - body.utf8.count))
        #expect(client.response()?.hasPrefix("{") == true)
        await lookupd.stop()
    }

    @Test func `close the connection of a client that sends an endless line`() async throws {
        let lookupd = try await LookupProbe.startOwn()
        let client = try lookupd.client()
        client.socket.send(String(repeating: "x", count: Limits.lineBytes).utf8)
        #expect(client.response() == "E_INVALID command line longer than 16384 bytes")
        #expect(client.response() == nil)
        await lookupd.stop()
    }

    @Test func `refuse a registration and keep the connection`() async throws {
        let lookupd = try await LookupProbe.startOwn { $0.limits.maxEntries = 4 }
        let nsqd = try lookupd.nsqd()
        #expect(nsqd.ask("REGISTER a x") == "OK")
        #expect(nsqd.ask("REGISTER b") == "E_INVALID REGISTER too many registrations")
        #expect(nsqd.ask("PING") == "OK")
        #expect(
            try lookupd.post("/topic/create?topic=b").summary
                == #"503 {"message":"TOO_MANY_TOPICS"}"#)
        #expect(
            try lookupd.post("/channel/create?topic=a&channel=y").summary
                == #"503 {"message":"TOO_MANY_CHANNELS"}"#)
        await lookupd.stop()
    }

    @Test func `close connections beyond the maximum number`() async throws {
        let lookupd = try await LookupProbe.startOwn { $0.maxConnections = 1 }
        let first = try lookupd.client()
        #expect(first.ask("PING") == "OK")
        let second = try lookupd.client()
        #expect(second.response() == nil)
        #expect(first.ask("PING") == "OK")
        await lookupd.stop()
    }

    @Test func `close the connection of a client that does not identify itself`() async throws {
        let lookupd = try await LookupProbe.startOwn(clock: .manual)
        let silent = try LookupClient(to: lookupd.tcpAddress, magic: "")
        let pinging = try lookupd.client()
        #expect(pinging.ask("PING") == "OK")
        let nsqd = try lookupd.nsqd()
        try await lookupd.advance(by: .seconds(59))
        #expect(pinging.ask("PING") == "OK")
        for _ in 0..<2 { try await lookupd.advance(by: .seconds(1)) }
        #expect(silent.response() == nil)
        #expect(pinging.response() == nil)
        #expect(nsqd.ask("PING") == "OK")
        await lookupd.stop()
    }

    @Test func `close the connection of an nsqd that is silent for twice the timeout`() async throws
    {
        let lookupd = try await LookupProbe.startOwn(clock: .manual) {
            $0.limits.inactiveProducerTimeout = .seconds(40)
        }
        let nsqd = try lookupd.nsqd()
        #expect(nsqd.ask("REGISTER plays") == "OK")
        try await lookupd.advance(by: .seconds(79))
        #expect(try lookupd.producers("/lookup?topic=plays").isEmpty)
        #expect(nsqd.ask("PING") == "OK")
        #expect(try lookupd.producers("/lookup?topic=plays").count == 1)
        for _ in 0..<2 { try await lookupd.advance(by: .seconds(41)) }
        #expect(nsqd.response() == nil)
        await lookupd.stop()
    }
}
