import NSQClient
import NSQWire

/// Publishes the batches of a ``PlayProducer``.
package protocol BatchPublisher: AnyObject {
    /// Publishes all messages of a batch, or none.
    ///
    /// - Parameter done: called once, with `nil` when nsqd has accepted the batch.
    func publish(
        _ batch: PublishBatch, to topic: TopicName, _ done: @escaping (NSQError?) -> Void)
}

extension ProducerEngine: BatchPublisher {
    package func publish(
        _ batch: PublishBatch, to topic: TopicName, _ done: @escaping (NSQError?) -> Void
    ) {
        publish(batch, to: topic, id: 0, done)
    }
}

/// Publishes each batch to several nsqds, so that its messages survive the loss of all but one of them.
///
/// The copies of a batch go to different nsqds, which take turns. If an nsqd does not accept its
/// copy, the copy goes to an nsqd that has no copy yet. If no such nsqd is left, the batch fails;
/// some nsqds may have accepted it nevertheless.
package final class CopyingPublisher: BatchPublisher {
    private let nsqds: [any BatchPublisher]
    private let copies: Int
    /// The position of the nsqd that gets the first copy of the next batch.
    private var next = 0

    /// One batch.
    private final class Batch {
        let content: PublishBatch
        let topic: TopicName
        let done: (NSQError?) -> Void
        /// The positions of the nsqds that no copy was sent to yet, in the order of the attempts.
        var candidates: ArraySlice<Int>
        /// The number of copies whose results are pending.
        var pending = 0
        var lastError: NSQError?
        /// The error of a copy that no nsqd has accepted.
        var failure: NSQError?

        init(
            _ content: PublishBatch, _ topic: TopicName, _ candidates: [Int],
            _ done: @escaping (NSQError?) -> Void
        ) {
            self.content = content
            self.topic = topic
            self.candidates = candidates[...]
            self.done = done
        }
    }

    /// - Parameters:
    ///   - nsqds: one publisher for each nsqd.
    ///   - copies: the number of nsqds that get each batch, at most the number of nsqds.
    package init(nsqds: [any BatchPublisher], copies: Int) {
        precondition((1...nsqds.count).contains(copies), "each copy has an nsqd of its own")
        self.nsqds = nsqds
        self.copies = copies
    }

    package func publish(
        _ batch: PublishBatch, to topic: TopicName, _ done: @escaping (NSQError?) -> Void
    ) {
        let order = nsqds.indices.map { (next + $0) % nsqds.count }
        next = (next + copies) % nsqds.count
        let batch = Batch(batch, topic, order, done)
        // The number is set before the first copy is published, because that copy may fail within
        // the call.
        batch.pending = copies
        for _ in 0..<copies { publishCopy(of: batch) }
    }

    /// Publishes one copy to the next nsqd and, after a failure, to the nsqd that follows.
    private func publishCopy(of batch: Batch) {
        guard let position = batch.candidates.popFirst() else {
            batch.failure = batch.lastError
            return copyEnded(of: batch)
        }
        nsqds[position].publish(batch.content, to: batch.topic) { [self] error in
            guard let error else { return copyEnded(of: batch) }
            batch.lastError = error
            publishCopy(of: batch)
        }
    }

    private func copyEnded(of batch: Batch) {
        batch.pending -= 1
        if batch.pending == 0 { batch.done(batch.failure) }
    }
}
