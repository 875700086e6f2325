import DequeModule

/// Which messages of one connection still wait for our answer.
///
/// Batch by batch, for that is how they are answered; single answers are noted beside. A batch
/// whose timeout has passed is given up: nsqd has requeued its messages by then, for its clock
/// started before ours.
struct InFlightLedger {
    private struct Entry {
        let count: Int
        var open: Int
        var dueNanoseconds: Int64
        /// The places answered one by one; empty for most batches in all their life.
        var answered: Set<Int> = []
    }

    /// How many messages wait for an answer.
    private(set) var messageCount = 0

    // INVARIANT: entries[0] is the batch `firstSerial`, and so on without a gap.
    private var firstSerial = 0
    private var entries: Deque<Entry> = []

    /// Enters a batch, and gives it its serial number.
    mutating func open(count: Int, dueNanoseconds: Int64) -> Int {
        entries.append(Entry(count: count, open: count, dueNanoseconds: dueNanoseconds))
        messageCount += count
        return firstSerial + entries.count - 1
    }

    /// Answers what is open of a batch.
    ///
    /// - Returns: the places that were answered before; nil if the batch was given up or answered.
    mutating func answerRest(of serial: Int) -> Set<Int>? {
        guard let index = index(of: serial), entries[index].open > 0 else { return nil }
        let answered = entries[index].answered
        messageCount -= entries[index].open
        entries[index].open = 0
        dropAnswered()
        return answered
    }

    /// Answers one message.
    ///
    /// - Returns: false if it was answered before, or given up.
    mutating func answer(_ place: Int, of serial: Int) -> Bool {
        guard isOpen(place, of: serial), let index = index(of: serial) else { return false }
        entries[index].answered.insert(place)
        entries[index].open -= 1
        messageCount -= 1
        dropAnswered()
        return true
    }

    /// Gives a batch more time.
    ///
    /// - Returns: the places answered before; nil if the batch was given up or answered.
    mutating func extend(_ serial: Int, dueNanoseconds: Int64) -> Set<Int>? {
        guard let index = index(of: serial), entries[index].open > 0 else { return nil }
        entries[index].dueNanoseconds = dueNanoseconds
        return entries[index].answered
    }

    func isOpen(_ place: Int, of serial: Int) -> Bool {
        guard let index = index(of: serial), entries[index].open > 0 else { return false }
        return !entries[index].answered.contains(place)
    }

    /// Gives up the oldest batches whose time is over.
    ///
    /// One that got more time holds up those behind it, which then merely count for longer.
    ///
    /// - Returns: how many messages they had open.
    mutating func expire(atNanoseconds now: Int64) -> Int {
        var expired = 0
        while let first = entries.first, first.dueNanoseconds <= now {
            expired += first.open
            messageCount -= first.open
            entries.removeFirst()
            firstSerial += 1
        }
        dropAnswered()
        return expired
    }

    private func index(of serial: Int) -> Int? {
        let index = serial - firstSerial
        return entries.indices.contains(index) ? index : nil
    }

    private mutating func dropAnswered() {
        while let first = entries.first, first.open == 0 {
            entries.removeFirst()
            firstSerial += 1
        }
    }
}
