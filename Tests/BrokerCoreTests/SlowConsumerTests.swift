import BrokerCore
import NSQWire
import Testing

@Suite struct `A consumer that does not read` {
    let broker = TestBroker { $0.maxUnsentBytes = 100_000 }
    let producer: TestClient
    let slow: TestClient

    init() {
        producer = broker.client()
        slow = broker.consumer(ready: 2_500)
        slow.isReading = false
    }

    private func publish(_ count: Int) {
        for _ in 0..<count {
            producer.send(.publish(.plays), body: [UInt8](repeating: 1, count: 10_000))
        }
    }

    @Test func `receives a bounded number of bytes, and the rest after it has read them`() {
        producer.multiPublish((1...200).map { _ in [UInt8](repeating: 1, count: 10_000) })
        #expect(slow.session.outbox.byteCount <= 110_000)
        let first = broker.channel()!.inFlightCount
        #expect((9...11).contains(first))
        slow.readAgain()
        #expect(slow.takeMessages().count == 200)
    }

    @Test func `receives a bounded number of bytes of redelivered messages`() {
        slow.send(.ready(count: 0))
        let quick = broker.consumer(ready: 2_500)
        publish(100)
        #expect(quick.takeMessages().count == 100)
        slow.send(.ready(count: 2_500))
        quick.leave()
        #expect(slow.session.outbox.byteCount <= 110_000)
        #expect(broker.channel()?.depth == 90)
    }

    @Test func `leaves the other messages to a consumer that reads`() {
        publish(20)
        let quick = broker.consumer(ready: 100)
        #expect(quick.takeMessages().count >= 9)
        #expect(broker.channel()?.depth == 0)
    }

    @Test func `is not read from while its responses are unsent`() {
        #expect(!slow.session.isCongested(limit: 100_000))
        publish(20)
        #expect(slow.session.isCongested(limit: 100_000))
        slow.readAgain()
        #expect(!slow.session.isCongested(limit: 100_000))
    }

    @Test func `receives a message that is larger than the bound`() {
        let consumer = broker.consumer(of: .archive, ready: 1)
        producer.send(.publish(.plays), body: [UInt8](repeating: 1, count: 300_000))
        #expect(consumer.takeMessages().count == 1)
    }
}
