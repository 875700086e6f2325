import BrokerCore
import Testing

@Suite struct `A new connection` {
    let broker = TestBroker()

    @Test func `receives no response to the protocol magic`() {
        let client = broker.connectedClient()
        client.send(text: "  V2")
        #expect(client.take() == [])
        #expect(!client.isDisconnected)
    }

    @Test(arguments: ["  V1", "GET ", "PUB\n", "\n\n\n\n", " V2 "])
    func `receives E_BAD_PROTOCOL and is closed after any other magic`(start: String) {
        let client = broker.connectedClient()
        client.send(text: start)
        #expect(client.take() == [.error("E_BAD_PROTOCOL")])
        #expect(client.isDisconnected)
    }

    @Test func `can send the magic byte by byte, with commands behind the last one`() {
        let client = broker.connectedClient()
        for byte in ["  V", "2N", "OP\nCL", "S\n"] { client.send(text: byte) }
        #expect(client.take() == [.error("E_INVALID cannot CLS in current state")])
    }

    @Test func `is closed without the magic after twice the default heartbeat interval`() {
        let silent = broker.connectedClient()
        let slow = broker.connectedClient()
        let late = broker.connectedClient()
        slow.send(text: " ")
        broker.pass(.milliseconds(59_999))
        // Further bytes of the magic do not extend the deadline.
        slow.send(text: " V")
        late.send(text: "  V2")
        #expect(!silent.isDisconnected && !slow.isDisconnected)
        broker.pass(.milliseconds(1))
        #expect(silent.isDisconnected && slow.isDisconnected)
        #expect(silent.take() == [] && slow.take() == [])
        #expect(
            broker.core.drainEvents()
                == [silent, slow].map {
                    .connectionClosed($0.session.id, reason: .noMagic)
                })
        broker.pass(.milliseconds(29_999))
        #expect(late.take() == [.heartbeat])
        #expect(!late.isDisconnected)
    }

    @Test func `can be closed before it has sent anything`() {
        let client = broker.connectedClient()
        client.send(text: " ")
        client.leave()
        #expect(broker.statistics.connections == 0)
    }
}
