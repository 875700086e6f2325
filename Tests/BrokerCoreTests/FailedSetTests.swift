import BrokerCore
import NSQWire
import Testing

@Suite struct `The failed set of a channel` {
    @Test func `has the names of the topic and the channel, shortened to 64 characters`() {
        #expect(FailedSet.topic(of: .count, .plays).text == "plays.count.failed")
        let long = String(repeating: "x", count: 64)
        let first = FailedSet.topic(of: ChannelName(long)!, TopicName(long)!)
        let second = FailedSet.topic(of: .count, TopicName(long)!)
        #expect(first.text.utf8.count == 64)
        #expect(first.text.hasPrefix(String(repeating: "x", count: 48) + "-"))
        #expect(first.isFailedSet)
        #expect(first != second)
        let longest = TopicName(String(repeating: "x", count: 51))!
        #expect(FailedSet.topic(of: .count, longest).text == "\(longest.text).count.failed")
    }

    @Test func `exists for channels with a limit that are not ephemeral`() {
        var limits = AttemptLimits()
        #expect(limits[.plays, .count] == 0)
        limits.defaultLimit = 5
        limits.byChannel[.likes] = [.count: 0]
        #expect(limits[.plays, .count] == 5)
        #expect(limits[.likes, .count] == 0)
        #expect(limits[.plays, .brief] == 0)
        #expect(limits[.brief, .count] == 0)
        #expect(limits[FailedSet.topic(of: .count, .plays), FailedSet.channel] == 0)
    }

    @Test func `has no standard lifetime, because its messages have no consumer`() {
        var lifetimes = MessageLifetimes()
        lifetimes.defaultLifetime = .seconds(10)
        let set = FailedSet.topic(of: .count, .plays)
        #expect(lifetimes[.plays] == .seconds(10))
        #expect(lifetimes[set] == .zero)
        lifetimes.byTopic[set] = .seconds(5)
        #expect(lifetimes[set] == .seconds(5))
    }

    @Test func `gets no message without memory, which is delivered once more instead`() {
        let broker = TestBroker {
            $0.maxMemoryBytes = 900_000
            $0.attemptLimits.defaultLimit = 1
        }
        let consumer = broker.consumer(ready: 1)
        let producer = broker.client()
        producer.publish("bad")
        let first = consumer.takeMessages()
        for size in [50_000, 500] {
            let producer = broker.client()
            repeat {
                producer.publish(String(repeating: "x", count: size), to: .likes)
            } while producer.take() == [.ok]
        }
        consumer.requeue(first[0])
        #expect(consumer.takeMessages().map(\.attempts) == [2])
        #expect(broker.core.failedSets.isEmpty)
        #expect(broker.channel()?.failedCount == 0)
    }

    @Test func `is read in portions, past messages that are not in its format`() {
        let broker = TestBroker { $0.attemptLimits.defaultLimit = 1 }
        let consumer = broker.consumer(ready: 1)
        let producer = broker.client()
        func fail(_ body: String) {
            producer.publish(body)
            consumer.requeue(consumer.takeMessages()[0])
        }
        fail("first")
        let foreign = [String](repeating: "x", count: 50_001)
        for _ in 0..<2 {
            producer.multiPublish(foreign, to: FailedSet.topic(of: .count, .plays))
        }
        fail("last")
        var selection = FailedSelection(limit: 10)
        var bodies: [[String]] = []
        repeat {
            let portion = broker.core.failedMessages(of: .count, .plays, selection, at: broker.now)
            bodies.append(portion.messages.map { String(decoding: $0.message.body, as: UTF8.self) })
            selection.after = portion.next
        } while selection.after != nil && bodies.count < 10
        #expect(bodies == [["first"], ["last"]])
    }

    @Test(arguments: ["", "x", "{}\n", "{\"topic\":\"plays\"}\nbody", "[]\n", "\n"])
    func `ignores messages that are not in its format`(text: String) {
        Array(text.utf8).withUnsafeBytes { #expect(FailedMessage(parsing: $0) == nil) }
    }
}
