import TallyBasics

/// Where jobs are stored. The row of a job is the truth about it; messages of NSQ only wake workers.
///
/// Each call is one atomic change. Implementations may group the calls of many tasks into one
/// transaction. All transitions follow ``JobLifecycle``.
package protocol JobStore: Sendable {
    // MARK: Enqueuing

    /// Stores jobs, all or none. A job whose unique key is taken is not stored, and does not affect the
    /// others.
    ///
    /// - Parameters:
    ///   - jobs: valid jobs, at most ``maxEnqueueCount``.
    ///   - policy: whether the caller publishes new available jobs itself; `nil` if it does not.
    func enqueue(
        _ jobs: [NewJob], publishing policy: PublishPolicy?, at now: JobTime
    ) async throws(JobsError) -> EnqueueResult

    /// Creates a batch.
    func createBatch(then callback: NewJob?, at now: JobTime) async throws(JobsError) -> JobBatchID

    /// Creates a batch with all of its jobs.
    func enqueueBatch(
        _ jobs: [NewJob], then callback: NewJob?, at now: JobTime
    ) async throws(JobsError) -> (id: JobBatchID, result: EnqueueResult)

    /// Ends the adding of jobs to a batch.
    func closeBatch(_ id: JobBatchID, at now: JobTime) async throws(JobsError)

    // MARK: Publishing

    /// Does the work of a relay in one change: enqueues the jobs of schedules, makes due jobs
    /// available, takes expired leases, and reserves jobs to publish.
    ///
    /// - Parameter limit: the maximum number of jobs of each kind, and of each topic.
    func sweep(
        limit: Int, policy: PublishPolicy, at now: JobTime
    ) async throws(JobsError) -> SweepResult

    /// Makes due jobs available, at most `limit` of them.
    ///
    /// - Returns: the number of jobs.
    func makeDueJobsAvailable(limit: Int, at now: JobTime) async throws(JobsError) -> Int

    /// Takes the lease of workers that did not renew it, at most `limit` leases.
    ///
    /// - Returns: the number of jobs.
    func expireLeases(limit: Int, at now: JobTime) async throws(JobsError) -> Int

    /// Makes jobs selectable again whose publish failed.
    func cancelReservations(_ references: [JobReference]) async throws(JobsError)

    /// Makes jobs selectable again that were published before a time and are not claimed, at most `limit`
    /// of them.
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

    /// Claims the jobs that are still available in the version of the reference, and those whose worker
    /// held them until its process ended.
    ///
    /// - Returns: one result for each reference, in order.
    func claim(
        _ references: [JobReference], worker: Int64, lease: Duration, at now: JobTime
    ) async throws(JobsError) -> [ClaimResult]

    /// Claims available jobs of any version, in the order in which they would be published.
    func claimNext(
        limit: Int, worker: Int64, lease: Duration, at now: JobTime
    ) async throws(JobsError) -> [JobRecord]

    /// Renews leases.
    ///
    /// - Returns: one answer for each claim, in order.
    func renew(
        _ claims: [JobClaim], lease: Duration
    ) async throws(JobsError) -> [JobLifecycle.Renewal]

    /// Ends attempts.
    func settle(
        _ settlements: [Settlement], at now: JobTime
    ) async throws(JobsError) -> SettleResult

    /// Selects the claims whose cancellation was requested.
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

    /// Stores a job that was given up without having been stored before.
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
    /// Changes those of the jobs whose state allows it.
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
    ///   - isPerKey: whether the limit is that of the jobs of each key.
    func setLimit(_ limit: JobLimit?, queue: String, isPerKey: Bool) async throws(JobsError)

    /// Stores a schedule; see ``Jobs/schedule(_:)``.
    func store(_ schedule: CronSchedule, at now: JobTime) async throws(JobsError)
    /// Deletes a schedule.
    ///
    /// - Returns: `false` if there is none with this name.
    func removeSchedule(_ name: String) async throws(JobsError) -> Bool
    func schedules() async throws(JobsError) -> [CronSchedule]
    /// Enqueues the jobs of due ticks, at most `limit` of each schedule.
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

/// When jobs are published again that no worker has claimed.
package struct PublishPolicy: Hashable, Sendable {
    /// The time after the first publish; it doubles with each further one.
    package var republishDelay: Duration
    /// The maximum time between two publishes.
    package var maxRepublishDelay: Duration
    /// The maximum number of jobs of one topic that are published and not claimed. The others wait in
    /// the store, so that NSQ holds a bounded number of messages, and loses at most that many.
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
    package var publications: [Publication] = []
    /// `true` if there are other available jobs for the relay.
    package var hasUnpublished = false
    /// The earliest due time of the new jobs that wait for a time; `nil` if there is none.
    package var earliestDue: JobTime?
}

/// A claim of a job, as its worker names it.
package struct JobClaim: Hashable, Sendable {
    package let id: JobID
    package let claim: JobLifecycle.Claim

    package init(_ id: JobID, _ claim: JobLifecycle.Claim) {
        self.id = id
        self.claim = claim
    }
}

/// The result of claiming one reference.
package enum ClaimResult: Sendable {
    case claimed(JobRecord)
    /// The job does not exist, or is not available in that version.
    case stale
    /// Another worker holds the lease of the job.
    case held
    /// The queue is paused. The job is published again when the queue is resumed.
    case paused
    /// The job waits for a ``JobLimit``, at least until a time if that is known.
    case limited(until: JobTime?)
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
    /// `true` if other jobs became available that waited for the ended ones.
    package let hasNewlyAvailable: Bool
}

/// A worker that registers itself.
package struct NewWorker: Hashable, Sendable {
    package let name: String
    package let queues: [String]
    package let concurrency: Int
    /// The time for which what the worker has started can outlive its process.
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
