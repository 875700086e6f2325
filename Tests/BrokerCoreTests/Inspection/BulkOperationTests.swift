import BrokerCore
import NSQWire
import TallyBasics
import Testing

@Suite struct `A bulk operation` {
    let broker = TestBroker()

    private func start(
        _ action: BulkOperation.Action, _ configure: (inout MessageFilter) -> Void = { _ in }
    ) throws -> BulkOperation {
        var filter = MessageFilter()
        configure(&filter)
        return try broker.iteration {
            try broker.core.startBulkOperation(action, filter, of: .plays, .count, at: broker.now)
        }
    }

    private func publish(_ count: Int) {
        for start in stride(from: 0, to: count, by: 1000) {
            broker.client().multiPublish(
                (start..<min(count, start + 1000)).map { "body \($0)\($0 % 2 == 0 ? " even" : "")" }
            )
        }
    }

    @Test func `counts what a filter selects, and changes nothing`() throws {
        _ = broker.consumer()
        publish(3000)
        let before = broker.statistics
        let operation = try start(.count) { $0.text = Array("even".utf8) }
        broker.pass(.seconds(1))
        #expect(operation.state == .finished)
        #expect(operation.selectedCount == 1500)
        #expect(operation.changedCount == 0)
        #expect(operation.messageCount == 3000)
        #expect(broker.statistics.topics == before.topics)
    }

    @Test func `deletes all selected messages in portions`() throws {
        _ = broker.consumer()
        publish(5000)
        let operation = try start(.change(.delete)) { $0.text = Array("even".utf8) }
        #expect(operation.state == .running)
        #expect(operation.changedCount == 1000)
        broker.pass(.seconds(1))
        #expect(operation.state == .finished)
        #expect(operation.selectedCount == 2500)
        #expect(operation.changedCount == 2500)
        #expect(operation.examinedCount == 5000)
        #expect(broker.channel()?.depth == 2500)
        #expect(try broker.bodies { $0.text = Array("even".utf8) } == [])
    }

    @Test func `does not examine messages that are published after its start`() throws {
        let consumer = broker.consumer()
        publish(3000)
        let operation = try start(.change(.delete))
        publish(2)
        broker.pass(.seconds(1))
        #expect(operation.changedCount == 3000)
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies() == ["body 0 even", "body 1"])
    }

    /// The messages of a deferred publish are in a segment of their own, which is newer than the one that
    /// gets the next messages.
    @Test func `does not examine them either when a deferred message is the newest`() throws {
        let consumer = broker.consumer()
        publish(3000)
        broker.client().publish("later", after: .seconds(60))
        let operation = try start(.change(.delete))
        #expect(operation.state == .running)
        publish(2)
        broker.pass(.seconds(1))
        #expect(operation.changedCount == 3001)
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies() == ["body 0 even", "body 1"])
    }

    @Test func `is within the memory limit`() throws {
        let broker = TestBroker { $0.maxMemoryBytes = 900_000 }
        _ = broker.consumer()
        let producer = broker.client()
        while true {
            producer.multiPublish((0..<100).map { "\($0)" })
            if producer.take() != [.ok] { break }
        }
        let operation = try broker.iteration {
            try broker.core.startBulkOperation(
                .change(.defer(.seconds(60))), MessageFilter(), of: .plays, .count, at: broker.now)
        }
        broker.pass(.seconds(1))
        #expect(operation.state == .failed(.memoryIsFull))
        let message = try #require(try broker.page(limit: 1).messages.first)
        #expect(throws: InspectionError.memoryIsFull) {
            try broker.perform(.defer(.seconds(60)), on: message)
        }
        try broker.perform(.delete, on: message)
        let deletion = try broker.iteration {
            try broker.core.startBulkOperation(
                .change(.delete), MessageFilter(), of: .plays, .count, at: broker.now)
        }
        broker.pass(.seconds(2))
        #expect(deletion.state == .finished, "which frees memory")
        #expect(broker.core.unfinishedCount == 0)
    }

    @Test func `requeues and defers without attempts`() throws {
        let consumer = broker.consumer(ready: 2000)
        publish(2000)
        let held = consumer.takeMessages()
        #expect(held.count == 2000)
        consumer.send(.ready(count: 0))
        let deferral = try start(.change(.defer(.seconds(50)))) { $0.states = [.inFlight] }
        broker.pass(.seconds(1))
        #expect(deferral.changedCount == 2000)
        #expect(broker.channel()?.deferredCount == 2000)
        let requeue = try start(.change(.requeue)) { $0.states = [.deferred] }
        broker.pass(.seconds(1))
        #expect(requeue.changedCount == 2000)
        #expect(broker.channel()?.depth == 2000)
        consumer.send(.ready(count: 2500))
        #expect(consumer.takeMessages().map(\.attempts) == Array(repeating: 2, count: 2000))
    }

    @Test func `moves all selected messages in their order`() throws {
        _ = broker.consumer()
        publish(3000)
        let other = broker.consumer(of: .archive, .likes, ready: 2500)
        let operation = try start(.change(.move(.likes))) { $0.text = Array("even".utf8) }
        broker.pass(.seconds(1))
        #expect(operation.state == .finished)
        #expect(operation.changedCount == 1500)
        #expect(broker.channel()?.depth == 1500)
        #expect(other.takeBodies() == (0..<1500).map { "body \($0 * 2) even" })
    }

    @Test func `can be cancelled`() throws {
        _ = broker.consumer()
        publish(5000)
        let operation = try start(.change(.delete))
        _ = try broker.core.cancelBulkOperation(operation.number, at: broker.now)
        broker.pass(.seconds(1))
        #expect(operation.state == .cancelled)
        #expect(operation.changedCount == 1000)
        #expect(broker.channel()?.depth == 4000)
    }

    @Test func `ends with its channel`() throws {
        _ = broker.consumer()
        publish(5000)
        let operation = try start(.change(.delete))
        broker.control { $0.deleteChannel(.count, of: .plays, at: $1) }
        broker.pass(.seconds(1))
        #expect(operation.state == .failed(.channelNotFound))
    }

    @Test func `fails when the memory is full, with what it has moved`() throws {
        let broker = TestBroker { $0.maxMemoryBytes = 900_000 }
        _ = broker.consumer()
        for _ in 0..<7 { broker.client().publish(String(repeating: "x", count: 70_000)) }
        let operation = try broker.iteration {
            try broker.core.startBulkOperation(
                .change(.move(.likes)), MessageFilter(), of: .plays, .count, at: broker.now)
        }
        broker.pass(.seconds(1))
        #expect(operation.state == .failed(.memoryIsFull))
        #expect(operation.changedCount < 7)
        let moved = broker.topic(.likes)?.depth ?? 0
        #expect(moved + (broker.channel()?.depth ?? 0) == 7)
        #expect(moved == operation.changedCount)
    }

    @Test func `is listed until many others have ended, and few run at once`() throws {
        _ = broker.consumer()
        publish(2000)
        for _ in 0..<70 {
            _ = try start(.count)
            broker.pass(.milliseconds(10))
        }
        #expect(broker.core.allBulkOperations.count == 64)
        #expect(broker.core.allBulkOperations.first?.number == 7)
        #expect(throws: InspectionError.operationNotFound) { try broker.core.bulkOperation(1) }
        for _ in 0..<8 { _ = try start(.change(.requeue)) }
        #expect(throws: InspectionError.tooManyOperations) { try start(.count) }
    }

    @Test func `lets consumers receive messages between its portions`() throws {
        let consumer = broker.consumer()
        publish(5000)
        _ = try start(.change(.delete))
        consumer.send(.ready(count: 10))
        #expect(consumer.takeBodies().first == "body 1000 even")
        broker.pass(.seconds(1))
        #expect(broker.core.unfinishedCount == 0)
    }
}
