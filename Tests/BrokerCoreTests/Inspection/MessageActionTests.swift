import BrokerCore
import NSQWire
import TallyBasics
import Testing

@Suite struct `A change of one message` {
    let broker = TestBroker()

    /// A consumer with "one" in flight for 20 seconds, "two" deferred for 20 seconds, "three" waiting for
    /// a redelivery, and "four" and "five" ready.
    private func mixedChannel() -> TestClient {
        let consumer = broker.consumer(ready: 3) {
            $0.heartbeatInterval = 60_000
            $0.messageTimeout = 20_000
        }
        broker.client().multiPublish(["one", "two", "three", "four", "five"])
        let held = consumer.takeMessages()
        consumer.send(.ready(count: 0))
        consumer.requeue(held[1], after: .seconds(20))
        consumer.requeue(held[2])
        return consumer
    }

    private static let bodies = ["one", "two", "three", "four", "five"]

    @Test(arguments: bodies)
    func `deletes a message in any state`(body: String) throws {
        let consumer = mixedChannel()
        try broker.perform(.delete, on: body)
        let rest = Self.bodies.filter { $0 != body }
        #expect(try broker.bodies() == rest)
        #expect(broker.core.unfinishedCount == 4)
        consumer.send(.ready(count: 10))
        broker.pass(.seconds(21))
        let bodies = Set(consumer.takeBodies())
        #expect(bodies == Set(rest))
    }

    @Test func `of a message in flight makes the FIN of its consumer fail, and frees its place`()
        throws
    {
        let consumer = broker.consumer(ready: 1)
        broker.client().publish("one", "two")
        let held = consumer.takeMessages()
        try broker.perform(.delete, on: "one")
        #expect(broker.channel()?.inFlightCount == 1)
        #expect(consumer.takeBodies() == ["two"])
        consumer.finish(held)
        #expect("\(consumer.take())".contains("E_FIN_FAILED"))
    }

    @Test(arguments: ["one", "two"])
    func `requeues a message that is in flight or deferred, without an attempt`(body: String) throws
    {
        let consumer = mixedChannel()
        let before = try broker.message(body).attempts
        try broker.perform(.requeue, on: body)
        let after = try broker.message(body)
        #expect(after.state == .ready)
        #expect(after.attempts == before)
        #expect(broker.channel()?.requeueCount == 2)
        consumer.send(.ready(count: 10))
        let message = consumer.takeMessages().first { $0.text == body }
        #expect(message?.attempts == before + 1)
    }

    @Test func `leaves a ready message where it is when it is requeued`() throws {
        let consumer = mixedChannel()
        try broker.perform(.requeue, on: "four")
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies() == ["four", "five", "three"])
    }

    @Test(arguments: bodies)
    func `defers a message in any state, and redelivers it when it is due`(body: String) throws {
        let consumer = mixedChannel()
        let attempts = try broker.message(body).attempts
        try broker.perform(.defer(.seconds(30)), on: body)
        let due = broker.now.wall + 30_000_000_000
        let message = try broker.message(body)
        #expect(message.state == .deferred(timeLeft: .seconds(30), due: due))
        #expect(message.attempts == attempts)
        consumer.send(.ready(count: 10))
        #expect(!consumer.takeBodies().contains(body))
        broker.pass(.milliseconds(29_999))
        #expect(!consumer.takeBodies().contains(body))
        broker.pass(.milliseconds(1))
        let redelivered = consumer.takeMessages().filter { $0.text == body }
        #expect(redelivered.map(\.attempts) == [attempts + 1])
    }

    @Test func `limits a delay, and a delay of zero makes the message ready`() throws {
        _ = mixedChannel()
        try broker.perform(.defer(.seconds(100_000)), on: "two")
        let due = broker.now.wall + 3_600_000_000_000
        #expect(
            try broker.message("two").state == .deferred(timeLeft: .seconds(3600), due: due))
        try broker.perform(.defer(.zero), on: "two")
        #expect(try broker.message("two").state == .ready)
    }

    @Test(arguments: bodies)
    func `moves a message in any state to another topic`(body: String) throws {
        _ = mixedChannel()
        let other = broker.consumer(of: .archive, .likes, ready: 10)
        try broker.perform(.move(.likes), on: body)
        let moved = other.takeMessages()
        #expect(moved.map(\.text) == [body])
        #expect(moved.map(\.attempts) == [1])
        #expect(try broker.bodies() == Self.bodies.filter { $0 != body })
    }

    @Test func `creates the topic to which it moves`() throws {
        _ = mixedChannel()
        try broker.perform(.move(.likes), on: "four")
        #expect(try broker.bodies(of: nil, .likes) == ["four"])
    }

    @Test func `leaves the copies of other channels alone`() throws {
        _ = broker.consumer()
        _ = broker.consumer(of: .archive)
        broker.client().publish("one", "two")
        try broker.perform(.delete, on: "one")
        try broker.perform(.defer(.seconds(9)), on: "two")
        #expect(try broker.bodies(of: .archive) { $0.states = [.ready] } == ["one", "two"])
    }

    @Test func `is refused if the message was delivered meanwhile`() throws {
        let consumer = broker.consumer()
        broker.client().publish("one")
        let seen = try broker.message("one")
        consumer.send(.ready(count: 1))
        for action in [MessageAction.delete, .requeue, .defer(.seconds(1)), .move(.likes)] {
            #expect(throws: InspectionError.attemptsDiffer(1)) {
                try broker.perform(action, on: seen)
            }
        }
        #expect(broker.channel()?.inFlightCount == 1)
        consumer.finish(consumer.takeMessages())
        #expect(throws: InspectionError.messageNotFound) { try broker.perform(.delete, on: seen) }
    }

    @Test func `is refused if the message cannot move`() throws {
        let broker = TestBroker { options in
            options.maxTopics = 2
            options.memoryQueueSize = 1
        }
        _ = broker.consumer()
        broker.client().publish("one")
        #expect(throws: InspectionError.sameTopic) { try broker.perform(.move(.plays), on: "one") }
        broker.client().publish("full", to: .brief)
        #expect(throws: InspectionError.destinationIsFull) {
            try broker.perform(.move(.brief), on: "one")
        }
        #expect(throws: InspectionError.tooManyTopics) {
            try broker.perform(.move(.likes), on: "one")
        }
        broker.core.stop()
        #expect(throws: InspectionError.stopping) { try broker.perform(.move(.brief), on: "one") }
        #expect(try broker.bodies() == ["one"])
    }

    @Test func `keeps the order of the other messages`() throws {
        let consumer = broker.consumer()
        broker.client().multiPublish((0..<10).map { "\($0)" })
        for body in ["3", "0", "9", "4"] { try broker.perform(.delete, on: body) }
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies() == ["1", "2", "5", "6", "7", "8"])
        #expect(broker.channel()?.depth == 0)
    }

    @Test func `of many deferred messages takes no more memory than the messages`() throws {
        let consumer = broker.consumer(ready: 2500)
        broker.client().multiPublish((0..<2500).map { "\($0)" })
        let held = consumer.takeMessages()
        consumer.send(.ready(count: 0))
        for message in held { consumer.requeue(message, after: .seconds(3000)) }
        let before = broker.statistics.accountedBytes[.deliveries]!
        for number in 0..<10 {
            for message in held {
                _ = try? broker.core.perform(
                    .defer(.seconds(1000 + number)), on: message.id, attempts: 1, of: .plays,
                    .count, at: broker.now
                ) { _ in }
            }
        }
        #expect(broker.statistics.accountedBytes[.deliveries]! < 3 * before)
        for message in held {
            try broker.core.perform(
                .delete, on: message.id, attempts: 1, of: .plays, .count, at: broker.now
            ) { _ in }
        }
        broker.iteration {}
        #expect(broker.core.unfinishedCount == 0)
    }
}
