import DequeModule
import NSQWire

/// Tracks the messages in flight of one connection: messages that are received, and neither
/// finished nor requeued.
///
/// Consumers mostly finish whole batches, so the tracker has one entry per batch. The entry lists the
/// messages that are completed (finished or requeued) individually. A batch expires at its timeout. By
/// then nsqd has requeued the messages, because nsqd's timeout started earlier.
struct InFlightTracker {
    private struct Entry {
        let count: Int
        var inFlight: Int
        var dueNanoseconds: Int64
        /// The indices in the batch of messages that were completed one by one; empty for most
        /// batches.
        var completed: Set<Int> = []
        /// The IDs of a batch that is kept alive, and the time until which nsqd allows that.
        var keptAlive: (ids: MessageBatch.IDs, untilNanoseconds: Int64)?
    }

    /// The number of messages in flight.
    private(set) var messageCount = 0

    // INVARIANT: entries[i] is the batch with the serial number `firstSerial + i`.
    /// The serial number of the oldest batch that is neither completed nor expired.
    private(set) var firstSerial = 0
    private var entries: Deque<Entry> = []

    /// Adds a batch of `count` messages that expires at `dueNanoseconds` on the monotonic clock.
    ///
    /// - Returns: the batch's serial number.
    mutating func addBatch(count: Int, dueNanoseconds: Int64) -> Int {
        entries.append(Entry(count: count, inFlight: count, dueNanoseconds: dueNanoseconds))
        messageCount += count
        return firstSerial + entries.count - 1
    }

    /// Completes all messages of a batch that are in flight.
    ///
    /// - Returns: the indices of messages completed before; nil if the batch has expired or all its
    ///   messages are complete.
    mutating func completeRest(ofBatch serial: Int) -> Set<Int>? {
        guard let index = index(of: serial), entries[index].inFlight > 0 else { return nil }
        let completed = entries[index].completed
        messageCount -= entries[index].inFlight
        entries[index].inFlight = 0
        removeCompleteBatches()
        return completed
    }

    /// Completes the message with the index `position` in the batch `serial`.
    ///
    /// - Returns: `true` if the message was in flight, `false` if it was already completed or had
    ///   expired.
    mutating func completeMessage(at position: Int, of serial: Int) -> Bool {
        guard isInFlight(position, of: serial), let index = index(of: serial) else { return false }
        entries[index].inFlight -= 1
        // The last message in flight completes the batch, whose entry is then removed. So the
        // message is not added to the set. With a small max-in-flight, most batches have only one
        // message.
        if entries[index].inFlight > 0 { entries[index].completed.insert(position) }
        messageCount -= 1
        removeCompleteBatches()
        return true
    }

    /// Sets the time at which a batch expires.
    ///
    /// - Returns: the indices of messages completed before; nil if the batch has expired or all its
    ///   messages are complete.
    mutating func extendBatch(_ serial: Int, dueNanoseconds: Int64) -> Set<Int>? {
        guard let index = index(of: serial), entries[index].inFlight > 0 else { return nil }
        entries[index].dueNanoseconds = dueNanoseconds
        return entries[index].completed
    }

    /// Keeps a batch alive: its timeout is restarted before it passes, until the given time on the
    /// monotonic clock.
    mutating func setKeepAlive(_ ids: MessageBatch.IDs, until nanoseconds: Int64, of serial: Int) {
        guard let index = index(of: serial) else { return }
        entries[index].keptAlive = (ids, nanoseconds)
    }

    /// Extends the batches that are kept alive and would expire before `soon`.
    ///
    /// - Parameters:
    ///   - soon: the time before which a batch would expire.
    ///   - due: the time at which an extended batch expires.
    /// - Returns: the IDs of the messages in flight whose timeout must be restarted.
    mutating func keepAlive(
        dueBeforeNanoseconds soon: Int64, untilNanoseconds due: Int64
    ) -> [MessageID] {
        var touched: [MessageID] = []
        for index in entries.indices where entries[index].inFlight > 0 {
            guard entries[index].dueNanoseconds < soon, let kept = entries[index].keptAlive,
                entries[index].dueNanoseconds < kept.untilNanoseconds
            else { continue }
            entries[index].dueNanoseconds = min(due, kept.untilNanoseconds)
            for (position, id) in kept.ids.enumerated()
            where !entries[index].completed.contains(position) {
                touched.append(id)
            }
        }
        return touched
    }

    /// Returns `true` if the message is neither completed nor expired.
    func isInFlight(_ position: Int, of serial: Int) -> Bool {
        guard let index = index(of: serial), entries[index].inFlight > 0 else { return false }
        return !entries[index].completed.contains(position)
    }

    /// Removes the oldest batches whose timeout has passed. A batch with an extended timeout delays
    /// the removal of later batches.
    ///
    /// - Returns: the number of messages in flight in the removed batches.
    mutating func expire(atNanoseconds now: Int64) -> Int {
        var expired = 0
        while let first = entries.first, first.dueNanoseconds <= now {
            expired += first.inFlight
            messageCount -= first.inFlight
            entries.removeFirst()
            firstSerial += 1
        }
        removeCompleteBatches()
        return expired
    }

    private func index(of serial: Int) -> Int? {
        let index = serial - firstSerial
        return entries.indices.contains(index) ? index : nil
    }

    private mutating func removeCompleteBatches() {
        while let first = entries.first, first.inFlight == 0 {
            entries.removeFirst()
            firstSerial += 1
        }
    }
}
