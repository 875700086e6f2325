import BrokerCore
import NSQWire
import Testing

@Suite struct `A heartbeat` {
    let broker = TestBroker()

    @Test func `comes every 30 seconds, counted from the magic, subscribed or not`() {
        let client = broker.client()
        broker.pass(.milliseconds(29_999))
        #expect(client.take() == [])
        broker.pass(.milliseconds(1))
        #expect(client.take() == [.heartbeat])
        client.send(.nop)
        broker.pass(.seconds(30))
        #expect(client.take() == [.heartbeat])
    }

    @Test func `comes as often as IDENTIFY asks`() {
        let client = broker.client()
        var wishes = Identify()
        wishes.heartbeatInterval = 1_000
        client.identify(wishes)
        #expect(client.take() == [.ok])
        for _ in 1...10 {
            broker.pass(.seconds(1))
            #expect(client.take() == [.heartbeat])
            client.send(.nop)
        }
    }

    @Test func `comes while messages flow`() {
        let consumer = broker.consumer(ready: 1) { $0.heartbeatInterval = 1_000 }
        let producer = broker.client()
        for _ in 1...20 {
            producer.publish("play")
            broker.pass(.milliseconds(100))
            consumer.finish(consumer.takeMessages())
        }
        #expect(consumer.take() == [.heartbeat, .heartbeat])
    }

    @Test func `that nothing answers for two intervals ends the connection without a word`() {
        let client = broker.client()
        broker.pass(.milliseconds(59_999))
        #expect(!client.isHungUp)
        broker.pass(.milliseconds(1))
        #expect(client.isHungUp)
        #expect(client.take() == [.heartbeat])
        #expect(
            broker.core.takeEvents() == [
                .clientDropped(client.session.id, reason: .missedHeartbeats)
            ])
    }

    @Test(arguments: ["NOP\n", "RDY 1\n", "FIN 0123456789abcdef\n", "PUB plays\n\0\0\0\u{1}x"])
    func `is answered by any command`(command: String) {
        let client = broker.consumer()
        for _ in 1...10 {
            broker.pass(.seconds(59))
            client.send(text: command)
        }
        #expect(!client.isHungUp)
    }

    @Test func `is answered by a FIN that settles something`() {
        let client = broker.consumer(ready: 1)
        let producer = broker.client()
        for _ in 1...10 {
            producer.publish("play")
            broker.pass(.seconds(59))
            producer.send(.nop)
            client.finish(client.takeMessages())
        }
        #expect(!client.isHungUp)
    }

    @Test func `is not answered by half a command`() {
        let client = broker.client()
        broker.pass(.seconds(59))
        client.send(text: "NO")
        broker.pass(.seconds(1))
        #expect(client.isHungUp)
    }

    @Test func `does not come to who turns it off, who may be silent for ever`() {
        let client = broker.client()
        var wishes = Identify()
        wishes.heartbeatInterval = -1
        client.identify(wishes)
        #expect(client.take() == [.ok])
        broker.pass(.seconds(10_000))
        #expect(client.take() == [])
        #expect(!client.isHungUp)
    }

    @Test func `of 0 is the default`() {
        let client = broker.client()
        var wishes = Identify()
        wishes.heartbeatInterval = 0
        client.identify(wishes)
        _ = client.take()
        broker.pass(.seconds(30))
        #expect(client.take() == [.heartbeat])
    }

    @Test func `finds out who takes nothing for an interval`() {
        let client = broker.client()
        client.isReading = false
        client.session.sending(100, at: broker.now.monotonic)
        broker.pass(.milliseconds(29_999))
        #expect(!client.session.isEnded)
        broker.pass(.milliseconds(1))
        #expect(client.session.isEnded)
        #expect(
            broker.core.takeEvents() == [
                .clientDropped(client.session.id, reason: .stoppedReading)
            ])
    }

    @Test func `leaves who is slow and does take something`() {
        let client = broker.client()
        for _ in 1...100 {
            client.session.sending(100, at: broker.now.monotonic)
            broker.pass(.seconds(20))
            client.session.sending(0, at: broker.now.monotonic)
            client.send(.nop)
        }
        #expect(!client.isHungUp)
    }

    @Test func `comes once after a long time in which nobody looked`() {
        let client = broker.client()
        broker.passUnnoticed(.seconds(59))
        broker.pass(.zero)
        #expect(client.take() == [.heartbeat])
    }
}
