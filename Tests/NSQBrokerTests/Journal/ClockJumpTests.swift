import NSQBroker
import NSQWire
import TallyBasics
import TestTraits
import Testing

@testable import BrokerCore

/// In these tests, the monotonic clock starts at zero in each process, and the wall clock is set
/// between two processes.
@Suite(.blocking) struct `A broker that restarts with the wall clock one day behind` {
    private static let day = Duration.seconds(86_400)

    private let disk = MemoryDisk()

    /// Recovers the journal, with the wall clock at `wall` nanoseconds.
    private func restart(_ first: JournaledBroker, after wall: Duration) throws -> JournaledBroker {
        let now = Timestamp(
            monotonic: 42_000_000_000, wall: first.now.wall + wall.nanoseconds)
        return try JournaledBroker(on: disk.copy(), at: now)
    }

    private func deferredPublish(_ body: String, _ first: JournaledBroker, milliseconds: Int) {
        var bytes: [UInt8] = []
        Command.deferredPublish(.plays, afterMilliseconds: milliseconds)
            .append(body: Array(body.utf8), to: &bytes)
        let client = first.client()
        client.send(bytes)
        #expect(client.received() == ["OK"])
    }

    /// Checks that `body` is delivered after at most `delay`, and not much earlier.
    private func expectDelivery(
        of body: String, by broker: JournaledBroker, after delay: Duration,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        broker.advanceTime(by: delay - .milliseconds(1))
        let consumer = broker.consumer()
        #expect(consumer.received() == ["OK"], sourceLocation: sourceLocation)
        broker.advanceTime(by: .milliseconds(1))
        #expect(consumer.received() == [body], sourceLocation: sourceLocation)
    }

    @Test(arguments: [false, true])
    func `defers a deferred message no longer than its publisher asked`(
        isDispatched: Bool
    ) throws {
        let first = try JournaledBroker(on: disk)
        if isDispatched { _ = first.consumer(ready: 0) }
        deferredPublish("one", first, milliseconds: 1_000)
        first.advanceTime(by: .milliseconds(600))
        try expectDelivery(
            of: "one", by: restart(first, after: .zero - Self.day), after: .seconds(1))
        // If the clock was not set, the deferral ends at its original time.
        try expectDelivery(
            of: "one", by: restart(first, after: .milliseconds(100)), after: .milliseconds(300))
    }

    @Test func `defers a requeued message no longer than its consumer asked`() throws {
        let first = try JournaledBroker(on: disk)
        first.publish("one")
        first.advanceTime(by: .seconds(600))
        let consumer = first.consumer()
        #expect(consumer.received() == ["OK", "one"])
        consumer.requeue("one", afterMilliseconds: 1_000)
        first.advanceTime(by: .milliseconds(600))
        try expectDelivery(
            of: "one", by: restart(first, after: .zero - Self.day), after: .seconds(1))
        try expectDelivery(
            of: "one", by: restart(first, after: .milliseconds(100)), after: .milliseconds(300))
    }

    @Test func `redelivers a message in flight at once`() throws {
        let first = try JournaledBroker(on: disk)
        first.publish("one")
        #expect(first.consumer().received() == ["OK", "one"])
        #expect(try restart(first, after: .zero - Self.day).delivered() == ["one"])
    }

    @Test func `does not exceed the longest requeue delay without the time of the record`() throws {
        let first = try JournaledBroker(on: disk)
        first.publish("one")
        let consumer = first.consumer()
        #expect(consumer.received() == ["OK", "one"])
        let serial = try #require(first.core.topics[.plays]?.segments.tail).serial
        let due = first.now.wall + Duration.seconds(1).nanoseconds
        first.journal.append(
            .deliveriesUpdated(
                .plays, .count,
                [DeliveryRecord(serial: serial, index: 0, attempts: 1, due: due)],
                writtenAt: nil))
        _ = try first.journal.flush()
        try expectDelivery(
            of: "one", by: restart(first, after: .zero - Self.day), after: .seconds(3_600))
    }

    @Test func `keeps the deferral of messages that were relocated meanwhile`() throws {
        let first = try JournaledBroker(on: disk) {
            $0.maxBytesPerFile = 1_000
            $0.syncEvery = .max
        }
        let consumer = first.consumer()
        deferredPublish("kept", first, milliseconds: 100_000)
        let filler = String(repeating: "x", count: 300)
        for number in 1...12 { first.publish("\(number) \(filler)") }
        consumer.finish(consumer.received().filter { $0.hasSuffix("x") })
        for _ in 1...3 {
            first.advanceTime(by: .seconds(6))
            first.retryAfterFailure()
            first.finishSyncs()
        }
        #expect(disk.contents[1] == nil)
        let next = try restart(first, after: .zero - Self.day)
        next.advanceTime(by: .seconds(70))
        let other = next.consumer()
        #expect(other.received() == ["OK"])
        next.advanceTime(by: .seconds(30))
        #expect(other.received() == ["kept"])
    }
}
