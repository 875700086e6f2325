import BrokerCore
import Testing

@Suite struct `A new connection` {
    let broker = TestBroker()

    @Test func `is told nothing in answer to the magic`() {
        let client = broker.stranger()
        client.send(text: "  V2")
        #expect(client.take() == [])
        #expect(!client.isHungUp)
    }

    @Test(arguments: ["  V1", "GET ", "PUB\n", "\n\n\n\n", " V2 "])
    func `that begins otherwise is told so and hung up on`(start: String) {
        let client = broker.stranger()
        client.send(text: start)
        #expect(client.take() == [.error("E_BAD_PROTOCOL")])
        #expect(client.isHungUp)
    }

    @Test func `may say its magic byte by byte, with commands in the same chunk as its end`() {
        let client = broker.stranger()
        for byte in ["  V", "2N", "OP\nCL", "S\n"] { client.send(text: byte) }
        #expect(client.take() == [.error("E_INVALID cannot CLS in current state")])
    }

    @Test func `may stay silent for ever before it`() {
        let client = broker.stranger()
        client.send(text: "  V")
        broker.pass(.seconds(100_000))
        #expect(client.take() == [])
        #expect(!client.isHungUp)
        client.send(text: "2")
        broker.pass(.seconds(30))
        #expect(client.take() == [.heartbeat])
    }

    @Test func `may end before it has said anything`() {
        let client = broker.stranger()
        client.send(text: " ")
        client.leave()
        #expect(broker.statistics.connections == 0)
    }
}
