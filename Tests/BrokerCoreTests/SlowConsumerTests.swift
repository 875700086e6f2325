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

    @Test func `is given a bound, and the rest when it reads again`() {
        producer.multiPublish((1...200).map { _ in [UInt8](repeating: 1, count: 10_000) })
        #expect(slow.session.outbox.byteCount <= 110_000)
        let first = broker.channel()!.inFlightCount
        #expect((9...11).contains(first))
        slow.readAgain()
        #expect(slow.takeMessages().count == 200)
    }

    @Test func `is given no more than the bound of messages that come back, either`() {
        slow.send(.ready(count: 0))
        let quick = broker.consumer(ready: 2_500)
        publish(100)
        #expect(quick.takeMessages().count == 100)
        slow.send(.ready(count: 2_500))
        quick.leave()
        #expect(slow.session.outbox.byteCount <= 110_000)
        #expect(broker.channel()?.depth == 90)
    }

    @Test func `leaves what it cannot take to another that can`() {
        publish(20)
        let quick = broker.consumer(ready: 100)
        #expect(quick.takeMessages().count >= 9)
        #expect(broker.channel()?.depth == 0)
    }

    @Test func `is not read from while its answers wait`() {
        #expect(!slow.session.isCongested(limit: 100_000))
        publish(20)
        #expect(slow.session.isCongested(limit: 100_000))
        slow.readAgain()
        #expect(!slow.session.isCongested(limit: 100_000))
    }

    @Test func `gets one message that is larger than the bound`() {
        let consumer = broker.consumer(of: .archive, ready: 1)
        producer.send(.publish(.plays), body: [UInt8](repeating: 1, count: 300_000))
        #expect(consumer.takeMessages().count == 1)
    }
}
