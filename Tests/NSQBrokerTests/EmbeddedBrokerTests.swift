import NSQBroker
import TestTraits
import Testing

@Suite(.blocking) struct `An embedded broker` {
    @Test func `listens on a free port, has no topics, and can be stopped twice`() async throws {
        let broker = try await EmbeddedBroker.start()
        #expect(broker.tcpAddress.hasPrefix("127.0.0.1:"))
        #expect(!broker.tcpAddress.hasSuffix(":0"))
        #expect(await broker.statistics().topics.isEmpty)
        await broker.stop()
        await broker.stop()
        #expect(await broker.statistics().connections == 0)
    }

    @Test func `names the address that is in use when it cannot start`() async throws {
        let broker = try await EmbeddedBroker.start()
        var configuration = EmbeddedBroker.Configuration()
        configuration.tcpAddress = broker.tcpAddress
        await #expect {
            _ = try await EmbeddedBroker.start(configuration)
        } throws: { error in
            "\(error)".contains(broker.tcpAddress) && "\(error)".contains("address already in use")
        }
        await broker.stop()
    }

    @Test func `closes its connections when it is deallocated`() async throws {
        let client: LayeredClient
        do {
            let broker = try await EmbeddedBroker.start()
            client = try LayeredClient(broker.tcpAddress)
            try client.send("  V2PUB plays\n\0\0\0\u{4}play")
            #expect(try client.text() == "OK")
        }
        #expect(client.isClosed())
    }
}
