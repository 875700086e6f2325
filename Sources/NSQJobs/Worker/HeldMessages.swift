import TallyBasics

/// The messages of running jobs that a worker keeps in flight, without I/O and clock.
///
/// When the process of the worker ends, its connections break, and nsqd delivers these messages to other
/// workers at once, which then take over the jobs. A message is held until its job is settled, or for a
/// maximum time, because nsqd bounds the time for which it can be kept in flight.
package struct HeldMessages<Token> {
    private struct Entry {
        let token: Token
        let source: Int
        /// `nil` for a message that is held until its job ends.
        let heldSince: MonotonicInstant?
    }

    private var entries: [JobClaim: Entry] = [:]
    private var counts: [Int]

    /// Creates an empty value.
    ///
    /// - Parameter sources: the number of consumers.
    package init(sources: Int) {
        counts = Array(repeating: 0, count: sources)
    }

    /// The number of messages of one consumer.
    package func count(of source: Int) -> Int { counts[source] }

    /// Adds the message of a claimed job.
    ///
    /// - Parameters:
    ///   - source: the index of the consumer that has received the message.
    ///   - now: the time; `nil` for the message of a fleeting job, which is held until the job ends.
    package mutating func hold(
        _ token: Token, of claim: JobClaim, from source: Int, at now: MonotonicInstant?
    ) {
        entries[claim] = Entry(token: token, source: source, heldSince: now)
        counts[source] += 1
    }

    /// Removes the message of a job that was settled or lost.
    ///
    /// - Returns: `nil` if it is not held any more.
    package mutating func release(_ claim: JobClaim) -> Token? {
        guard let entry = entries.removeValue(forKey: claim) else { return nil }
        counts[entry.source] -= 1
        return entry.token
    }

    /// Removes the messages that are held for at least `age`.
    package mutating func releaseAll(
        heldFor age: Duration, at now: MonotonicInstant
    ) -> [Token] {
        let due = entries.filter { $0.value.heldSince.map { $0 + age <= now } ?? false }
        return due.keys.compactMap { release($0) }
    }

    /// Removes all messages.
    package mutating func releaseAll() -> [Token] {
        entries.keys.compactMap { release($0) }
    }
}
