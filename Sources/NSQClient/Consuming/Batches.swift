/// The received messages of a consumer, in batches.
///
/// An iterator requests messages from its first `next()` until it is released or its task is
/// cancelled.
public struct Batches: AsyncSequence, Sendable {
    /// A batch.
    public typealias Element = MessageBatch

    let queue: MessageQueue

    /// Creates an iterator.
    public func makeAsyncIterator() -> Iterator { Iterator(demand: Demand(queue)) }

    /// Requests one batch after the other.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let demand: Demand

        /// Returns the next batch; `nil` when the consumer has stopped or the task is cancelled.
        public mutating func next() async -> MessageBatch? {
            try? await demand.queue.nextBatch()
        }
    }

    /// The demand of one iterator, which ends with the iterator.
    fileprivate final class Demand: Sendable {
        let queue: MessageQueue

        init(_ queue: MessageQueue) { self.queue = queue }

        deinit { queue.endDemand() }
    }
}
