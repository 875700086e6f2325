import BrokerCore
import NSQWire
import Testing

@Suite struct `A sampling consumer` {
    @Test(arguments: [1, 10, 50, 97, 98, 99])
    func `receives about the sampled percentage of messages, and the channel discards the others`(
        rate: Int
    ) {
        let broker = TestBroker { $0.seed = 7 }
        let consumer = broker.consumer(ready: 2_500) { $0.sampleRate = rate }
        let producer = broker.client()
        var got = 0
        for _ in 1...20 {
            producer.multiPublish((1...500).map { "play \($0)" })
            let messages = consumer.takeMessages()
            got += messages.count
            consumer.finish(messages)
        }
        #expect(consumer.take() == [])
        // A message is skipped with probability (99 - R) / 100, as in nsqd.
        let expected = 10_000 * (rate + 1) / 100
        // The allowed deviation is five standard deviations of a binomial distribution. It is zero if
        // all messages are received.
        let deviation = (Double(expected) * (1 - Double(expected) / 10_000)).squareRoot()
        #expect(abs(Double(got - expected)) <= 5 * deviation, "got \(got) of about \(expected)")
        let channel = broker.channel()
        #expect(channel?.depth == 0)
        #expect(channel?.inFlightCount == 0)
        #expect(channel?.requeueCount == 0)
        #expect(channel?.messageCount == 10_000)
        #expect(channel?.clients.map(\.deliveredCount) == [got])
        broker.pass(.seconds(20))
        #expect(broker.statistics.usedMemoryBytes == 0)
    }

    @Test func `receives the same messages for the same seed, and others for another seed`() {
        func sample(seed: UInt64) -> [String] {
            let broker = TestBroker { $0.seed = seed }
            let consumer = broker.consumer(ready: 2_500) { $0.sampleRate = 30 }
            broker.client().multiPublish((1...300).map { "play \($0)" })
            return consumer.takeBodies()
        }
        #expect(sample(seed: 1) == sample(seed: 1))
        #expect(sample(seed: 1) != sample(seed: 2))
    }

    @Test func `can skip a redelivered message`() {
        let broker = TestBroker()
        let consumer = broker.consumer(ready: 1_000) { $0.sampleRate = 50 }
        broker.client().multiPublish((1...1_000).map { "play \($0)" })
        let first = consumer.takeMessages()
        broker.iteration { first.forEach { consumer.requeue($0) } }
        let second = consumer.takeMessages()
        #expect(abs(second.count - first.count / 2) < 80)
        #expect(broker.channel()?.inFlightCount == second.count)
    }

    @Test func `never has more messages in flight than its RDY count`() {
        let broker = TestBroker()
        let consumer = broker.consumer(ready: 3) { $0.sampleRate = 50 }
        broker.client().multiPublish((1...100).map { "play \($0)" })
        #expect(consumer.takeMessages().count == 3)
    }
}
