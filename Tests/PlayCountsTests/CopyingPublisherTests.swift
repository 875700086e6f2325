import NSQClient
import NSQWire
import Testing

@testable import PlayCounts

@Suite struct `A publisher of copies` {
    /// An nsqd that accepts or refuses batches at once, or whose answers the test gives.
    private final class FakeNSQD: BatchPublisher {
        enum Behavior { case accepts, fails, waits }

        var behavior: Behavior
        private(set) var batches: [Int] = []
        private var waiting: [(NSQError?) -> Void] = []

        init(_ behavior: Behavior) { self.behavior = behavior }

        func publish(
            _ batch: PublishBatch, to topic: TopicName, _ done: @escaping (NSQError?) -> Void
        ) {
            batches.append(batch.count)
            switch behavior {
            case .accepts: done(nil)
            case .fails: done(.unreachable(address: "10.0.0.1:4150", reason: "a test"))
            case .waits: waiting.append(done)
            }
        }

        func answer(_ error: NSQError?) { waiting.removeFirst()(error) }
    }

    /// Publishes a batch, and returns how often it was completed, and the last error.
    private func publish(
        _ publisher: CopyingPublisher, messages: Int = 1
    ) -> () -> (count: Int, error: NSQError?) {
        var batch = PublishBatch()
        for _ in 0..<messages { batch.append([1]) }
        var result: (count: Int, error: NSQError?) = (0, nil)
        publisher.publish(batch, to: TopicName("plays")!) { result = (result.count + 1, $0) }
        return { result }
    }

    @Test func `publishes each batch to different nsqds, which take turns`() {
        let nsqds = (0..<3).map { _ in FakeNSQD(.accepts) }
        let publisher = CopyingPublisher(nsqds: nsqds, copies: 2)
        for messages in 1...3 {
            let result = publish(publisher, messages: messages)()
            #expect(result.count == 1 && result.error == nil)
        }
        #expect(nsqds.map(\.batches) == [[1, 2], [1, 3], [2, 3]])
    }

    @Test func `completes a batch when all copies are accepted`() {
        let nsqds = [FakeNSQD(.waits), FakeNSQD(.waits)]
        let result = publish(CopyingPublisher(nsqds: nsqds, copies: 2))
        nsqds[1].answer(nil)
        #expect(result().count == 0)
        nsqds[0].answer(nil)
        #expect(result().count == 1 && result().error == nil)
    }

    @Test(arguments: [0, 1, 2])
    func `replaces an nsqd that fails`(position: Int) {
        let nsqds = (0..<3).map { FakeNSQD($0 == position ? .fails : .accepts) }
        let result = publish(CopyingPublisher(nsqds: nsqds, copies: 2))()
        #expect(result.count == 1 && result.error == nil)
        for (index, nsqd) in nsqds.enumerated() where index != position {
            #expect(nsqd.batches == [1])
        }
    }

    @Test(arguments: [[0], [1], [0, 1]])
    func `fails if fewer nsqds than copies accept a batch`(failing: [Int]) {
        let nsqds = (0..<2).map { FakeNSQD(failing.contains($0) ? .fails : .accepts) }
        let result = publish(CopyingPublisher(nsqds: nsqds, copies: 2))()
        #expect(result.count == 1 && result.error?.code == .unreachable)
        #expect(nsqds.map(\.batches.count) == [1, 1])
    }

    @Test func `waits for the copies that are on their way when one has failed`() {
        let nsqds = [FakeNSQD(.waits), FakeNSQD(.fails)]
        let result = publish(CopyingPublisher(nsqds: nsqds, copies: 2))
        #expect(result().count == 0)
        nsqds[0].answer(nil)
        #expect(result().count == 1 && result().error?.code == .unreachable)
    }
}
