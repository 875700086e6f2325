import DequeModule
import TallyBasics

/// The order in which a worker claims and starts jobs, without I/O and clock.
///
/// A worker has `concurrency` slots, one for each running job. Messages wait until slots are free for
/// their jobs, and ``PriorityOrder`` selects among them. Their jobs are claimed in batches, one batch
/// at a time: the messages that arrive during a claim wait for the next one. Claimed jobs start in
/// order when a slot is free.
///
/// While all slots are busy, the worker requests no messages. When a slot is free again (an opening),
/// it requests messages of all priority classes, and a message of a lower class can arrive first. In
/// the strict order, this message waits up to ``arrivalTime`` if a higher class has had messages
/// recently. Messages of a higher class that arrive one after the other do not prolong this wait while
/// slots are free.
package struct WorkerQueue<Token> {
    /// A message that waits for the claim of its job.
    package struct Waiting {
        package let reference: JobReference
        package let token: Token
    }

    private let concurrency: Int
    private var waiting: [Deque<Waiting>]
    private var selection: PrioritySelection
    private var claimed: Deque<JobRecord> = []
    /// The number of jobs that are being claimed; 0 if no claim runs.
    private var claiming = 0
    private var running = 0
    private var isStopped = false
    private let isStrict: Bool
    /// The number of times that messages were requested after all slots were busy.
    private var openings = 0
    /// The time of the latest end of a job while all slots were busy.
    private var openedAt: MonotonicInstant?
    /// For each class, the value of `openings` when its latest message arrived; `nil` before its
    /// first message.
    private var arrivals: [Int?]
    /// For each class, the time for which its messages have waited although slots were free, since the
    /// last claim of one of them.
    private var postponed: [Duration]
    /// For each class, the time since which its messages wait although slots are free; `nil` if no
    /// message of the class waits, or no slot is free.
    private var postponedSince: [MonotonicInstant?]

    /// The time within which messages of all classes arrive after they were requested.
    package static var arrivalTime: Duration { .milliseconds(5) }
    /// The number of openings without a message of a class after which lower classes do not wait for
    /// it.
    package static var maxEmptyOpenings: Int { 20 }

    package init(concurrency: Int, order: PriorityOrder = .strict) {
        self.concurrency = concurrency
        selection = PrioritySelection(order)
        isStrict = order == .strict
        waiting = JobPriority.allCases.map { _ in [] }
        arrivals = JobPriority.allCases.map { _ in nil }
        postponed = JobPriority.allCases.map { _ in .zero }
        postponedSince = JobPriority.allCases.map { _ in nil }
    }

    /// The number of jobs that are claimed or being claimed and have not ended.
    package var active: Int { claiming + claimed.count + running }

    /// `true` if a message waits.
    package var hasWaiting: Bool { waiting.contains { !$0.isEmpty } }

    /// Adds a message. The max-in-flight of the consumers bounds the number of messages.
    ///
    /// - Returns: `false` if the worker has stopped; the caller requeues the message.
    package mutating func add(
        _ reference: JobReference, _ priority: JobPriority, _ token: Token
    ) -> Bool {
        guard !isStopped else { return false }
        waiting[priority.rawValue].append(Waiting(reference: reference, token: token))
        arrivals[priority.rawValue] = openings
        return true
    }

    /// Records that a slot is free after all were busy. If no waiting message gets it, messages of all
    /// classes are requested, which ``requested()`` records.
    package mutating func opened(at now: MonotonicInstant) {
        openedAt = now
    }

    /// Records that messages of all classes are requested after all slots were busy.
    package mutating func requested() {
        openings += 1
    }

    /// Starts a claim of the messages for which slots are free.
    ///
    /// - Parameter limit: the maximum of ``active``.
    /// - Returns: the messages; empty if there is none, no slot is free, a claim runs, or most of the jobs
    ///   that may be claimed ahead wait for a slot.
    package mutating func startClaim(limit: Int, at now: MonotonicInstant) -> [Waiting] {
        measurePostponement(at: now)
        defer { startPostponement(limit: limit, at: now) }
        guard claiming == 0, !isStopped, !hasMostAhead(limit: limit) else { return [] }
        let isPostponed = waiting.indices.map { mustWait($0, at: now) }
        var batch: [Waiting] = []
        while active + batch.count < limit,
            let index = selection.next(where: { !waiting[$0].isEmpty && !isPostponed[$0] })
        {
            batch.append(waiting[index].removeFirst())
            postponed[index] = .zero
        }
        claiming = batch.count
        return batch
    }

    /// Returns `true` if more than three quarters of the jobs that may be claimed ahead wait for a slot.
    /// Without this rule, each job that ends would claim a single other one.
    private func hasMostAhead(limit: Int) -> Bool {
        let ahead = limit - concurrency
        return ahead > 0 && claimed.count > ahead * 3 / 4
    }

    /// Returns the time for which messages still wait for messages of a higher class although slots are
    /// free; `nil` if no message does.
    package func postponement(limit: Int, at now: MonotonicInstant) -> Duration? {
        guard let openedAt, active < limit else { return nil }
        return waiting.indices.filter { !waiting[$0].isEmpty && mustWait($0, at: now) }
            .map { min(openedAt + Self.arrivalTime - now, Self.arrivalTime - postponed[$0]) }
            .min()
    }

    private mutating func measurePostponement(at now: MonotonicInstant) {
        for index in waiting.indices {
            guard let since = postponedSince[index] else { continue }
            postponed[index] += now - since
            postponedSince[index] = nil
        }
    }

    private mutating func startPostponement(limit: Int, at now: MonotonicInstant) {
        guard active < limit else { return }
        for index in waiting.indices where !waiting[index].isEmpty { postponedSince[index] = now }
    }

    private func mustWait(_ priority: Int, at now: MonotonicInstant) -> Bool {
        guard isStrict, let openedAt, now < openedAt + Self.arrivalTime,
            postponed[priority] < Self.arrivalTime
        else { return false }
        return arrivals[..<priority].contains { arrival in
            arrival.map { openings - $0 <= Self.maxEmptyOpenings } ?? false
        }
    }

    /// Ends the claim with the jobs that it has claimed.
    package mutating func endClaim(_ jobs: [JobRecord]) {
        claiming = 0
        claimed.append(contentsOf: jobs)
    }

    /// Removes the next claimed job for which a slot is free. The caller starts it.
    package mutating func startNext() -> JobRecord? {
        guard running < concurrency, !isStopped, let job = claimed.popFirst() else { return nil }
        running += 1
        return job
    }

    /// Records that a started job has ended.
    package mutating func jobEnded() {
        running -= 1
    }

    /// Removes messages that wait. The caller requeues them, so that other workers receive them.
    package mutating func removeWaiting(
        where isRemoved: (Waiting) -> Bool = { _ in true }
    ) -> [Waiting] {
        var removed: [Waiting] = []
        for index in waiting.indices where !waiting[index].isEmpty {
            let all = waiting[index]
            waiting[index] = Deque(all.filter { !isRemoved($0) })
            removed += all.filter(isRemoved)
            if waiting[index].isEmpty { (postponed[index], postponedSince[index]) = (.zero, nil) }
        }
        return removed
    }

    /// Stops claims and starts.
    package mutating func stop() {
        isStopped = true
    }

    /// Removes the claimed jobs that have not started, after ``stop()``.
    package mutating func removeClaimed() -> [JobRecord] {
        // Without this check, the thread sanitizer reports a race on the storage of empty deques, which
        // all threads share.
        guard !claimed.isEmpty else { return [] }
        defer { claimed = [] }
        return Array(claimed)
    }
}
