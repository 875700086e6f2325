import DequeModule

/// The order in which a worker claims and starts jobs, as a pure value.
///
/// Messages wait until slots are free for their jobs; ``PriorityOrder`` selects among them. Their jobs are claimed in
/// batches, one batch at a time: all messages that arrive during a claim are in the next one. Claimed jobs
/// start in order when a slot is free.
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

    package init(concurrency: Int, order: PriorityOrder = .strict) {
        self.concurrency = concurrency
        selection = PrioritySelection(order)
        waiting = JobPriority.allCases.map { _ in [] }
    }

    /// The number of jobs that are claimed or being claimed and have not ended.
    package var active: Int { claiming + claimed.count + running }

    /// `true` if a message waits.
    package var hasWaiting: Bool { waiting.contains { !$0.isEmpty } }

    /// Adds a message. The max-in-flight of the consumers bounds their number.
    ///
    /// - Returns: `false` if the worker has stopped; the caller requeues the message.
    package mutating func add(
        _ reference: JobReference, _ priority: JobPriority, _ token: Token
    ) -> Bool {
        guard !isStopped else { return false }
        waiting[priority.rawValue].append(Waiting(reference: reference, token: token))
        return true
    }

    /// Starts a claim of the messages for which slots are free.
    ///
    /// - Parameter limit: the maximum of ``active``.
    /// - Returns: the messages; empty if there is none, no slot is free, or a claim runs.
    package mutating func startClaim(limit: Int) -> [Waiting] {
        guard claiming == 0, !isStopped else { return [] }
        var batch: [Waiting] = []
        while active + batch.count < limit,
            let index = selection.next(where: { !waiting[$0].isEmpty })
        {
            batch.append(waiting[index].removeFirst())
        }
        claiming = batch.count
        return batch
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

    /// Removes the messages that wait, so that other workers receive them.
    package mutating func removeWaiting() -> [Waiting] {
        let removed = waiting.flatMap { $0 }
        for index in waiting.indices { waiting[index] = [] }
        return removed
    }

    /// Stops claims and starts.
    package mutating func stop() {
        isStopped = true
    }

    /// Removes the claimed jobs that have not started, after ``stop()``.
    package mutating func removeClaimed() -> [JobRecord] {
        defer { claimed = [] }
        return Array(claimed)
    }
}
