import TallyBasics

/// The storage of jobs. The row of a job is authoritative, and NSQ's messages only wake workers.
///
/// Each call is one atomic change. Implementations may group the calls of many tasks into one
/// transaction. All transitions follow ``JobLifecycle``.
package protocol JobStore: Sendable {
    // MARK: Enqueuing

    /// Stores jobs, all or none. A job whose unique key is taken is not stored, and does not affect the
    /// other jobs.
    ///
    /// - Parameters:
    ///   - jobs: valid jobs, at most ``maxEnqueueCount``.
    ///   - policy: reserves new available jobs for the caller, which publishes them itself; `nil`
    ///     leaves them to the relay.
    func enqueue(
        _ jobs: [NewJob], publishing policy: PublishPolicy?, at now: JobTime
    ) async throws(JobsError) -> EnqueueResult

    /// Creates a batch.
    func createBatch(then callback: NewJob?, at now: JobTime) async throws(JobsError) -> JobBatchID

    /// Creates a batch with all of its jobs.
    func enqueueBatch(
        _ jobs: [NewJob], then callback: NewJob?, at now: JobTime
    ) async throws(JobsError) -> (id: JobBatchID, result: EnqueueResult)

    /// Closes a batch; see ``Jobs/closeBatch(_:)``.
    func closeBatch(_ id: JobBatchID, at now: JobTime) async throws(JobsError)

    // MARK: Publishing

    /// Does the work of a relay in one change: enqueues the jobs of schedules, makes due jobs
    /// available, ends the attempts whose leases have expired, and reserves jobs to publish.
    ///
    /// - Parameter limit: the maximum number of jobs for each kind of this work, and of reserved jobs
    ///   for each topic.
    func sweep(
        limit: Int, policy: PublishPolicy, at now: JobTime
    ) async throws(JobsError) -> SweepResult

    /// Makes due jobs available, at most `limit` of them.
    ///
    /// - Returns: the number of jobs.
    func makeDueJobsAvailable(limit: Int, at now: JobTime) async throws(JobsError) -> Int

    /// Ends the attempts of workers that did not renew their leases, at most `limit` of them.
    ///
    /// - Returns: the number of jobs.
    func expireLeases(limit: Int, at now: JobTime) async throws(JobsError) -> Int

    /// Cancels the reservations of jobs whose publish failed, so that a relay selects them again.
    func cancelReservations(_ references: [JobReference]) async throws(JobsError)

    /// Cancels the reservations of jobs that were published before a time and are not claimed, so that
    /// a relay publishes them again; at most `limit` jobs.
    ///
    /// - Returns: the number of jobs.
    func releasePublished(
        before time: JobTime, limit: Int, policy: PublishPolicy, at now: JobTime
    ) async throws(JobsError) -> Int

    // MARK: Working

    /// Registers a worker of this process.
    ///
    /// - Returns: its number.
    func registerWorker(_ worker: NewWorker, at now: JobTime) async throws(JobsError) -> Int64

    /// Records that a worker is alive, or has stopped.
    func updateWorker(_ number: Int64, isStopped: Bool, at now: JobTime) async throws(JobsError)

    /// Claims the jobs that are still available in the version of the reference, and running jobs if
    /// the process of their worker has ended.
    ///
    /// - Returns: one result for each reference, in order.
    func claim(
        _ references: [JobReference], worker: Int64, lease: Duration, at now: JobTime
    ) async throws(JobsError) -> ClaimResults

    /// Claims available jobs of any version, in the order in which they would be published.
    func claimNext(
        limit: Int, worker: Int64, lease: Duration, at now: JobTime
    ) async throws(JobsError) -> [JobRecord]

    /// Renews leases.
    ///
    /// - Returns: one result for each claim, in order.
    func renew(
        _ claims: [JobClaim], lease: Duration
    ) async throws(JobsError) -> [JobLifecycle.Renewal]

    /// Ends attempts.
    func settle(
        _ settlements: [Settlement], at now: JobTime
    ) async throws(JobsError) -> SettleResult

    /// Selects the claims whose cancellation was requested, and those that are not held any more.
    func cancellations(of claims: [JobClaim]) async throws(JobsError) -> Set<JobClaim>

    /// Stores the progress or result of a running job.
    ///
    /// - Returns: `false` if the claim is not held any more.
    func setOutput(_ json: String, of claim: JobClaim) async throws(JobsError) -> Bool

    /// Stores the result of a step of a running job.
    ///
    /// - Returns: `false` if the claim is not held any more.
    func storeStep(
        _ name: String, result: String, of claim: JobClaim, at now: JobTime
    ) async throws(JobsError) -> Bool

    /// Returns the result of a step of a job as JSON; `nil` if it has not completed.
    func step(_ name: String, of id: JobID) async throws(JobsError) -> String?

    /// Stores a fleeting job that was discarded, in the state `discarded`.
    func insertDiscarded(_ job: NewJob, note: String, at now: JobTime) async throws(JobsError)

    // MARK: Reading

    func steps(of id: JobID) async throws(JobsError) -> [JobStep]

    func job(_ id: JobID) async throws(JobsError) -> JobRecord?
    func latestJob(name: String, uniqueKey: String) async throws(JobsError) -> JobRecord?
    func attempts(of id: JobID) async throws(JobsError) -> [JobAttempt]
    func jobs(matching query: JobQuery) async throws(JobsError) -> JobPage
    func dependencies(of id: JobID) async throws(JobsError) -> [JobID]
    func batch(_ id: JobBatchID) async throws(JobsError) -> JobBatch?
    func batch(ofCallback id: JobID) async throws(JobsError) -> JobBatch?
    /// Returns the names of jobs with a prefix in order, at most `limit` of them.
    func names(prefix: String, limit: Int) async throws(JobsError) -> [String]
    func counts() async throws(JobsError) -> [QueueCounts]
    func workers() async throws(JobsError) -> [WorkerRecord]

    // MARK: Administration

    func change(
        _ id: JobID, _ change: JobChange, at now: JobTime
    ) async throws(JobsError) -> JobRecord
    /// Changes the jobs whose state allows the change.
    ///
    /// - Returns: the number of changed jobs.
    func changeAll(
        _ ids: [JobID], _ change: JobChange, at now: JobTime
    ) async throws(JobsError) -> Int
    func setPaused(_ isPaused: Bool, queue: String) async throws(JobsError)
    /// Stores a limit of a queue, or deletes it.
    ///
    /// - Parameters:
    ///   - limit: a valid limit; `nil` for none.
    ///   - isPerKey: whether the limit applies to the jobs of each key, or to all jobs of the queue
    ///     together.
    func setLimit(_ limit: JobLimit?, queue: String, isPerKey: Bool) async throws(JobsError)

    /// Stores a schedule; see ``Jobs/schedule(_:)``.
    func store(_ schedule: CronSchedule, at now: JobTime) async throws(JobsError)
    /// Deletes a schedule.
    ///
    /// - Returns: `false` if there is none with this name.
    func removeSchedule(_ name: String) async throws(JobsError) -> Bool
    func schedules() async throws(JobsError) -> [CronSchedule]
    /// Enqueues the jobs of cron schedules whose times (ticks) are due, for at most `limit` ticks
    /// of each schedule.
    ///
    /// - Returns: `true` if there can be more.
    func enqueueDueTicks(limit: Int, at now: JobTime) async throws(JobsError) -> Bool

    /// Deletes the oldest final jobs of a rule.
    ///
    /// - Parameter limit: the maximum number of jobs.
    /// - Returns: the number of deleted jobs; less than `limit` if there are no more.
    func prune(_ rule: PruneRule, limit: Int, at now: JobTime) async throws(JobsError) -> Int

    /// Waits for the pending changes and closes what the store has opened.
    func close() async throws(JobsError)
}

extension JobStore {
    /// The maximum number of jobs that one call can enqueue, so that no transaction is long.
    package static var maxEnqueueCount: Int { 10_000 }
}

/// The limits of publishing: the maximum number of jobs that are published and not claimed, and the
/// delay after which a job that no worker has claimed is published again.
package struct PublishPolicy: Hashable, Sendable {
    /// The time between the first and the second publish of a job. It doubles with each further
    /// publish.
    package var republishDelay: Duration
    /// The maximum time between two publishes.
    package var maxRepublishDelay: Duration
    /// The maximum number of jobs of one topic that are published and not claimed. Further jobs wait in
    /// the store, so that NSQ holds, and can lose, only a bounded number of messages.
    package var window: Int

    package init(
        republishDelay: Duration = .seconds(15), maxRepublishDelay: Duration = .seconds(3600),
        window: Int = 5_000
    ) {
        self.republishDelay = republishDelay
        self.maxRepublishDelay = maxRepublishDelay
        self.window = window
    }

    /// Returns the time of the next publish after the publish number `count`.
    package func nextPublish(afterPublish count: Int, at now: JobTime) -> JobTime {
        now + delays.delay(afterAttempt: count, seed: 0)
    }

    private var delays: JobRetryPolicy {
        JobRetryPolicy(firstDelay: republishDelay, maxDelay: maxRepublishDelay, jitter: 0)
    }
}

/// The result of an enqueue in the store.
package struct EnqueueResult: Sendable {
    /// One receipt for each job, in order.
    package var receipts: [EnqueueReceipt] = []
    /// The new available jobs that the caller must publish.
    package var publications: [ReservedJob] = []
    /// `true` if the relay must publish further available jobs.
    package var hasUnpublished = false
    /// The earliest due time of the new jobs that wait for a time; `nil` if there is none.
    package var earliestDue: JobTime?
}

/// The end of one attempt.
package struct Settlement: Hashable, Sendable {
    package let claim: JobClaim
    package let outcome: JobOutcome

    package init(_ claim: JobClaim, _ outcome: JobOutcome) {
        self.claim = claim
        self.outcome = outcome
    }
}

/// The result of ending attempts.
package struct SettleResult: Hashable, Sendable {
    /// For each settlement in order, whether the claim was still held.
    package let isHeld: [Bool]
    /// `true` if jobs that waited for the ended ones became available.
    package let hasNewlyAvailable: Bool
}

/// A worker that registers itself.
package struct NewWorker: Hashable, Sendable {
    package let name: String
    package let queues: [String]
    package let concurrency: Int
    /// The time for which child processes of the worker can outlive the worker's process.
    package let gracePeriod: Duration

    package init(
        name: String, queues: [String], concurrency: Int, gracePeriod: Duration = .zero
    ) {
        self.name = name
        self.queues = queues
        self.concurrency = concurrency
        self.gracePeriod = gracePeriod
    }
}

/// A change of one job that a person requests.
package enum JobChange: Sendable {
    case cancel
    case discard
    case retry
    case edit(JobEdit)
}
