import BrokerCore
import NSQWire
import Testing

/// The tests count iterations: `TestBroker` runs further ones as long as the broker has postponed work.
@Suite struct `The work of one loop iteration` {
    private let broker = TestBroker { $0.stepsPerIteration = 100 }

    /// Calls `body` in one iteration, and returns the number of iterations that continued its work.
    private func continuations(_ body: () -> Void) -> Int {
        let before = broker.iterationCount
        broker.iteration(body)
        return broker.iterationCount - before - 1
    }

    /// A client that records the iteration in which each frame arrived, counted from now on.
    private func record(_ client: TestClient) -> () -> [Int] {
        let broker = broker
        let before = broker.iterationCount
        var iterations: [Int] = []
        client.onFrame = { _ in iterations.append(broker.iterationCount - before) }
        return { iterations }
    }

    @Test func `has a bounded number of commands, and the others follow in order`() {
        let consumer = broker.consumer()
        let ids = (0..<1_000).map { TestMessage.unknownID($0) }
        #expect(continuations { consumer.send(ids.map { .finish($0) }) } >= 40)
        let expected = ids.map { Received.error("E_FIN_FAILED FIN \($0) failed ID not in flight") }
        #expect(consumer.take() == expected)
    }

    @Test func `serves all clients, whatever the others send`() {
        let flooders = (1...4).map { _ in broker.consumer() }
        let other = broker.client()
        let arrivals = record(other)
        let count = continuations {
            for flooder in flooders {
                flooder.send((0..<1_000).map { .touch(TestMessage.unknownID($0)) })
            }
            other.publish("play", to: .likes)
        }
        #expect(count >= 40)
        #expect(arrivals() == [0])
    }

    @Test func `contains at least one command of each client`() {
        let broker = TestBroker { $0.stepsPerIteration = 1 }
        let clients = (1...10).map { _ in broker.client() }
        broker.iteration { for client in clients { client.publish("one", "two") } }
        for client in clients { #expect(client.take() == [.ok, .ok]) }
    }

    @Test func `has a bounded number of deliveries, shared by the channels`() {
        let flooded = broker.consumer(of: .count, .plays)
        let other = broker.consumer(of: .count, .likes)
        let producer = broker.client()
        for _ in 1...10 { producer.multiPublish((1...100).map { "play \($0)" }) }
        producer.publish("like", to: .likes)
        let arrivals = record(other)
        let count = continuations {
            flooded.send(.ready(count: 2_500))
            other.send(.ready(count: 1))
        }
        #expect(count >= 8)
        #expect(flooded.takeMessages().count == 1_000)
        #expect(arrivals().allSatisfy { $0 <= 1 } && !arrivals().isEmpty)
    }

    /// The channel delivers at most 256 messages to a consumer before it turns to the next one.
    @Test func `serves all consumers of a channel, however many messages one could receive`() {
        let broker = TestBroker { $0.stepsPerIteration = 1_000 }
        let consumers = (1...3).map { _ in broker.consumer() }
        let producer = broker.client()
        for _ in 1...20 { producer.multiPublish((1...250).map { "play \($0)" }) }
        var arrivals: [[Int]] = [[], [], []]
        let before = broker.iterationCount
        for (number, consumer) in consumers.enumerated() {
            consumer.onFrame = { _ in
                arrivals[number].append(broker.iterationCount - before)
            }
        }
        broker.iteration { for consumer in consumers { consumer.send(.ready(count: 2_500)) } }
        #expect(arrivals.map(\.first) == [0, 0, 0])
        #expect(arrivals.allSatisfy { $0.count { $0 == 0 } <= 512 })
    }

    @Test func `has a bounded number of delivered bytes`() {
        let broker = TestBroker {
            $0.stepsPerIteration = 100
            $0.maxUnsentBytes = 30_000
        }
        let consumer = broker.consumer()
        let producer = broker.client()
        let body = [UInt8](repeating: 1, count: 20_000)
        for _ in 1...20 { producer.send(.publish(.plays), body: body) }
        let before = broker.iterationCount
        consumer.send(.ready(count: 20))
        #expect(broker.iterationCount - before >= 8)
        #expect(consumer.takeMessages().count == 20)
    }

    @Test func `has a bounded number of timeouts, and other timers follow in time`() {
        let consumer = broker.consumer(ready: 2_500) { $0.messageTimeout = 2_000 }
        let other = broker.client()
        var request = Identify()
        request.heartbeatInterval = 2_000
        other.identify(request)
        other.forgetAnswers()
        let producer = broker.client()
        for _ in 1...10 { producer.multiPublish((1...100).map { "play \($0)" }) }
        #expect(consumer.takeMessages().count == 1_000)
        consumer.send(.ready(count: 0))
        let before = broker.iterationCount
        broker.pass(.milliseconds(2_100))
        #expect(broker.channel()?.timeoutCount == 1_000)
        #expect(broker.channel()?.depth == 1_000)
        // In one iteration, a single timer uses at most an eighth of the steps, but at least 16.
        #expect(broker.iterationCount - before >= 1_000 / 16)
        #expect(other.take() == [.heartbeat])
    }

    @Test func `has a bounded number of deferred messages that come due`() {
        let producer = broker.client()
        let consumer = broker.consumer(ready: 2_500)
        for number in 1...500 { producer.publish("\(number)", after: .seconds(1)) }
        let before = broker.iterationCount
        broker.pass(.seconds(1))
        #expect(broker.iterationCount - before >= 5)
        #expect(consumer.takeBodies() == (1...500).map { "\($0)" })
    }

    @Test func `has a bounded number of copies of deferred messages for channels`() {
        for number in 0..<50 { broker.core.createChannel(number) }
        let producer = broker.client()
        let count = continuations {
            for _ in 1...20 { producer.publish("later", after: .seconds(1)) }
        }
        #expect(count >= 8)
        #expect(producer.take() == (1...20).map { _ in .ok })
        #expect(broker.topic()!.channels.map(\.deferredCount) == (0..<50).map { _ in 20 })
    }

    @Test func `has a bounded number of topics that hand messages to many channels`() {
        let topics = (0..<20).map { TopicName("topic\($0)")! }
        for topic in topics {
            for number in 0..<30 { broker.core.createChannel(number, of: topic) }
        }
        let producer = broker.client()
        #expect(continuations { for topic in topics { producer.publish("x", to: topic) } } >= 4)
        for topic in topics {
            #expect(broker.topic(topic)!.channels.map(\.depth) == (0..<30).map { _ in 1 })
        }
    }

    @Test func `ends, if something else than the budget stops a session or channel`() {
        let broker = TestBroker {
            $0.stepsPerIteration = 100
            $0.maxUnsentBytes = 1_000
        }
        let producer = broker.client()
        for _ in 1...10 { producer.multiPublish((1...100).map { "play \($0)" }) }
        // These clients wait for something other than the budget: a consumer that does not read and is
        // over its limit, one that is not ready, one that has sent CLS, one whose connection ends with
        // an error, a publisher with an incomplete command, and the consumers of a paused channel.
        let notReading = broker.consumer(of: .archive)
        notReading.isReading = false
        notReading.send(.ready(count: 2_500))
        _ = broker.consumer(ready: 0)
        let closing = broker.consumer(ready: 10)
        closing.send(.close)
        let ended = broker.consumer(ready: 10)
        ended.isReading = false
        ended.send(text: "nonsense\n")
        broker.client().send(text: "PUB plays\n\0\0\0\u{4}pl")
        broker.control { $0.pauseChannel(.count, of: .plays, true, at: $1) }
        #expect(notReading.session.outbox.byteCount >= 1_000)
        let before = broker.iterationCount
        broker.iteration {}
        #expect(!broker.core.hasPostponedWork)
        broker.iteration { broker.core.tick(at: broker.now) }
        #expect(broker.iterationCount - before == 2)
    }
}

extension TestMessage {
    fileprivate static func unknownID(_ number: Int) -> MessageID {
        MessageID(0xffff_ffff_0000_0000 + UInt64(number))
    }
}

extension Broker {
    fileprivate func createChannel(_ number: Int, of topic: TopicName = .plays) {
        createTopic(topic, at: .start)
        _ = createChannel(ChannelName("channel\(number)")!, of: topic, at: .start)
    }
}
