import NSQWire

/// Messages that were published to another topic and are not finished in their channel yet, because the
/// publish is not synced.
final class PendingMoves {
    /// Messages that one call has published.
    final class Batch {
        let channel: Channel
        let ids: [MessageID]
        fileprivate let completion: (Result) -> Void
        /// The result of the flush or sync; `nil` before it.
        fileprivate var result: Result?

        init(_ ids: [MessageID], of channel: Channel, _ completion: @escaping (Result) -> Void) {
            self.ids = ids
            self.channel = channel
            self.completion = completion
        }
    }

    /// The error of the flush or sync; `nil` if the publish is synced.
    typealias Result = MessageLogError?

    private var batches: [Batch] = []
    /// The number of batches whose result is known.
    private var completedCount = 0

    /// Returns `true` if a message of a channel is being moved.
    func contains(_ id: MessageID, of channel: Channel) -> Bool {
        batches.contains { $0.channel === channel && $0.ids.contains(id) }
    }

    /// Adds a batch.
    ///
    /// - Returns: the closure to call with the result of the flush or sync. It must not call the broker.
    func add(_ batch: Batch) -> (Result) -> Void {
        batches.append(batch)
        return { [self] result in
            batch.result = .some(result)
            completedCount += 1
        }
    }

    /// Removes the batches whose result is known.
    func removeCompleted() -> [Batch] {
        guard completedCount > 0 else { return [] }
        defer {
            batches.removeAll { $0.result != nil }
            completedCount = 0
        }
        return batches.filter { $0.result != nil }
    }
}

extension PendingMoves.Batch {
    /// The error of the publish; `nil` if it is synced.
    var failure: MessageLogError? { result ?? nil }

    /// Ends the move.
    func complete() { completion(failure) }
}
