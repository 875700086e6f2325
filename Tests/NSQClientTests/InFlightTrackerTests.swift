import Testing
import UVLoop

@testable import NSQClient

@Suite struct `The tracker of messages in flight` {
    private var tracker = InFlightTracker()

    @Test mutating func `counts messages until their batch is completed`() {
        let first = tracker.addBatch(count: 3, dueNanoseconds: 10)
        let second = tracker.addBatch(count: 4, dueNanoseconds: 10)
        #expect(tracker.messageCount == 7)
        #expect(tracker.completeRest(ofBatch: second) == [])
        #expect(tracker.completeRest(ofBatch: second) == nil)
        #expect(tracker.messageCount == 3)
        #expect(tracker.completeRest(ofBatch: first) == [])
        #expect(tracker.messageCount == 0)
        #expect(tracker.addBatch(count: 1, dueNanoseconds: 10) == 2)
    }

    @Test mutating func `reports the messages that were completed before their batch`() {
        let batch = tracker.addBatch(count: 3, dueNanoseconds: 10)
        #expect(tracker.completeMessage(at: 1, of: batch) == true)
        #expect(tracker.completeMessage(at: 1, of: batch) == false)
        #expect(tracker.messageCount == 2)
        #expect(tracker.completeRest(ofBatch: batch) == [1])
        #expect(tracker.completeMessage(at: 0, of: batch) == false)
    }

    @Test mutating func `removes a batch when all its messages were completed one by one`() {
        let batch = tracker.addBatch(count: 2, dueNanoseconds: 10)
        #expect(tracker.completeMessage(at: 0, of: batch) == true)
        #expect(tracker.completeMessage(at: 1, of: batch) == true)
        #expect(tracker.completeRest(ofBatch: batch) == nil)
        #expect(tracker.messageCount == 0)
    }

    @Test mutating func `expires messages that are in flight at their timeout`() {
        let early = tracker.addBatch(count: 2, dueNanoseconds: 10)
        let late = tracker.addBatch(count: 3, dueNanoseconds: 20)
        #expect(tracker.expire(atNanoseconds: 9) == 0)
        #expect(tracker.completeMessage(at: 0, of: early) == true)
        #expect(tracker.expire(atNanoseconds: 10) == 1)
        #expect(tracker.messageCount == 3)
        #expect(tracker.completeRest(ofBatch: early) == nil)
        #expect(tracker.completeRest(ofBatch: late) == [])
    }

    @Test mutating func `expires an extended batch at its new timeout`() {
        let batch = tracker.addBatch(count: 2, dueNanoseconds: 10)
        #expect(tracker.extendBatch(batch, dueNanoseconds: 30) == [])
        #expect(tracker.expire(atNanoseconds: 29) == 0)
        #expect(tracker.expire(atNanoseconds: 30) == 2)
        #expect(tracker.extendBatch(batch, dueNanoseconds: 50) == nil)
    }

    @Test mutating func `keeps a batch alive no longer than nsqd allows`() {
        let batch = tracker.addBatch(count: 1, dueNanoseconds: 60)
        let offsets: [UInt32] = [0]
        let ids = MessageBatch(
            buffer: ReceiveBuffer(byteCount: 64), offsets: offsets, connection: 1, serial: batch,
            nsqd: SocketAddress(host: "a", port: 1)
        ).ids
        tracker.setKeepAlive(ids, until: 100, of: batch)
        #expect(tracker.keepAlive(dueBeforeNanoseconds: 60, untilNanoseconds: 90).isEmpty)
        #expect(tracker.keepAlive(dueBeforeNanoseconds: 61, untilNanoseconds: 90).count == 1)
        #expect(tracker.keepAlive(dueBeforeNanoseconds: 120, untilNanoseconds: 150).count == 1)
        #expect(tracker.keepAlive(dueBeforeNanoseconds: 120, untilNanoseconds: 150).isEmpty)
        #expect(tracker.expire(atNanoseconds: 99) == 0)
        #expect(tracker.expire(atNanoseconds: 100) == 1)
    }

    @Test mutating func `completes no batch or message that was not added`() {
        #expect(tracker.completeRest(ofBatch: 0) == nil)
        #expect(tracker.completeMessage(at: 0, of: -1) == false)
    }
}
