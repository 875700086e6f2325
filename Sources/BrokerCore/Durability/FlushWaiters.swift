import DequeModule

/// Completion handlers that wait until a flush of the message log has ended.
struct FlushWaiters {
    private struct Waiter {
        var flush: UInt64
        var completion: (MessageLogError?) -> Void
    }

    // INVARIANT: the flush numbers are ascending.
    private var waiters = Deque<Waiter>()
    private var unflushedCount = 0

    /// `true` if handlers were added since the last flush.
    var hasUnflushed: Bool { unflushedCount > 0 }

    /// Adds a handler that waits for the next flush.
    mutating func add(_ completion: @escaping (MessageLogError?) -> Void) {
        waiters.append(Waiter(flush: PendingResponses.nextFlush, completion: completion))
        unflushedCount += 1
    }

    /// Assigns the number of a successful flush to the handlers that wait for it.
    mutating func didFlush(_ number: UInt64) {
        for index in waiters.indices.suffix(unflushedCount) { waiters[index].flush = number }
        unflushedCount = 0
    }

    /// Removes the handlers that wait for a flush up to `number`.
    mutating func remove(upTo number: UInt64) -> [(MessageLogError?) -> Void] {
        let count = waiters.prefix { $0.flush <= number }.count
        defer { waiters.removeFirst(count) }
        return waiters.prefix(count).map(\.completion)
    }

    /// Removes the handlers that were added since the last flush.
    mutating func removeUnflushed() -> [(MessageLogError?) -> Void] {
        defer {
            waiters.removeLast(unflushedCount)
            unflushedCount = 0
        }
        return waiters.suffix(unflushedCount).map(\.completion)
    }
}
