import BrokerCore
import NSQWire
import TallyBasics
import Testing

@Suite struct `A heartbeat` {
    let broker = TestBroker()

    @Test func `is sent every 30 seconds after the magic, with or without a subscription`() {
        let client = broker.client()
        broker.pass(.milliseconds(29_999))
        #expect(client.take() == [])
        broker.pass(.milliseconds(1))
        #expect(client.take() == [.heartbeat])
        client.send(.nop)
        broker.pass(.seconds(30))
        #expect(client.take() == [.heartbeat])
    }

    @Test func `is sent in the interval that IDENTIFY requests`() {
        let client = broker.client()
        var request = Identify()
        request.heartbeatInterval = 1_000
        client.identify(request)
        #expect(client.take() == [.ok])
        for _ in 1...10 {
            broker.pass(.seconds(1))
            #expect(client.take() == [.heartbeat])
            client.send(.nop)
        }
    }

    @Test func `is sent while messages are delivered`() {
        let consumer = broker.consumer(ready: 1) { $0.heartbeatInterval = 1_000 }
        let producer = broker.client()
        for _ in 1...20 {
            producer.publish("play")
            broker.pass(.milliseconds(100))
            consumer.finish(consumer.takeMessages())
        }
        #expect(consumer.take() == [.heartbeat, .heartbeat])
    }

    @Test func `closes the connection without an error frame after two intervals without data`() {
        let client = broker.client()
        broker.pass(.milliseconds(59_999))
        #expect(!client.isDisconnected)
        broker.pass(.milliseconds(1))
        #expect(client.isDisconnected)
        #expect(client.take() == [.heartbeat])
        #expect(
            broker.core.drainEvents() == [
                .connectionClosed(client.session.id, reason: .missedHeartbeats)
            ])
    }

    @Test(arguments: ["NOP\n", "RDY 1\n", "FIN 0123456789abcdef\n", "PUB plays\n\0\0\0\u{1}x"])
    func `is acknowledged by any command`(command: String) {
        let client = broker.consumer()
        for _ in 1...10 {
            broker.pass(.seconds(59))
            client.send(text: command)
        }
        #expect(!client.isDisconnected)
    }

    @Test func `is acknowledged by a successful FIN`() {
        let client = broker.consumer(ready: 1)
        let producer = broker.client()
        for _ in 1...10 {
            producer.publish("play")
            broker.pass(.seconds(59))
            producer.send(.nop)
            client.finish(client.takeMessages())
        }
        #expect(!client.isDisconnected)
    }

    @Test func `is not acknowledged by an incomplete command`() {
        let client = broker.client()
        broker.pass(.seconds(59))
        client.send(text: "NO")
        broker.pass(.seconds(1))
        #expect(client.isDisconnected)
    }

    @Test
    func `is disabled by IDENTIFY, after which the client can stay idle without a time limit`() {
        let client = broker.client()
        var request = Identify()
        request.heartbeatInterval = -1
        client.identify(request)
        #expect(client.take() == [.ok])
        broker.pass(.seconds(10_000))
        #expect(client.take() == [])
        #expect(!client.isDisconnected)
    }

    @Test func `has the default interval if IDENTIFY requests 0`() {
        let client = broker.client()
        var request = Identify()
        request.heartbeatInterval = 0
        client.identify(request)
        _ = client.take()
        broker.pass(.seconds(30))
        #expect(client.take() == [.heartbeat])
    }

    @Test func `closes the connection of a client that reads nothing for one interval`() {
        let client = broker.client()
        client.isReading = false
        client.session.updateUnsentBytes(100, at: broker.now.monotonic)
        broker.pass(.milliseconds(29_999))
        #expect(!client.session.isEnded)
        broker.pass(.milliseconds(1))
        #expect(client.session.isEnded)
        #expect(
            broker.core.drainEvents() == [
                .connectionClosed(client.session.id, reason: .stoppedReading)
            ])
    }

    @Test func `keeps the connection of a client that reads slowly`() {
        let client = broker.client()
        for _ in 1...100 {
            client.session.updateUnsentBytes(100, at: broker.now.monotonic)
            broker.pass(.seconds(20))
            client.session.updateUnsentBytes(0, at: broker.now.monotonic)
            client.send(.nop)
        }
        #expect(!client.isDisconnected)
    }

    @Test func `is sent once after a long time without a tick`() {
        let client = broker.client()
        broker.passUnnoticed(.seconds(59))
        broker.pass(.zero)
        #expect(client.take() == [.heartbeat])
    }
}
