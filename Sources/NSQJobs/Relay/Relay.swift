import Logging
import NSQClient
import TallyBasics
import UVLoop

/// Publishes the jobs of a store that wait for a worker.
///
/// A relay runs in each process with a ``Jobs`` object that uses NSQ. It sweeps the store for jobs to
/// publish; see ``JobStore/sweep(limit:policy:at:)``. Several relays of one store share the work,
/// because each job is reserved for one of them in the store before it is published.
package final class Relay: Sendable {
    /// The maximum number of jobs that one sweep changes for each kind of work, and publishes to each
    /// topic.
    package static let sweepLimit = 1_000

    private let store: any JobStore
    private let publisher: JobPublisher
    private let policy: PublishPolicy
    private let clock: JobClock
    private let logger: Logger
    private let schedule: LockedValue<RelaySchedule>
    private let lostPublishes: LockedValue<LostPublishes>
    private let wakeUp = WakeSignal()

    init(
        _ store: any JobStore, _ publisher: JobPublisher, policy: PublishPolicy,
        interval: Duration, lostPublishes: LockedValue<LostPublishes>, clock: JobClock,
        logger: Logger
    ) {
        self.lostPublishes = lostPublishes
        self.store = store
        self.publisher = publisher
        self.policy = policy
        self.clock = clock
        self.logger = logger
        schedule = LockedValue(
            RelaySchedule(interval: interval, window: policy.window, seed: .random(in: 0 ... .max)))
    }

    /// Publishes the jobs that an enqueue has reserved, and requests a sweep for the other jobs
    /// that it has stored.
    func jobsStored(_ result: EnqueueResult) {
        publisher.submit(result.publications)
        if result.hasUnpublished { jobsStored(due: nil) }
        if let due = result.earliestDue { jobsStored(due: due) }
    }

    /// Requests a sweep: at once if `due` is `nil`, otherwise at the time at which a stored job is
    /// due.
    func jobsStored(due: JobTime?) {
        schedule.withLock { $0.jobsStored(due: due) }
        wakeUp.signal()
    }

    /// Publishes a fleeting job.
    ///
    /// - Throws: the error of the publish. nsqd may have accepted the job.
    func publish(_ job: FleetingMessage, after delay: Duration) async throws(NSQError) {
        try await publisher.publish(job, after: delay)
    }

    /// Schedules a sweep for the earliest time at which a job that waits for a limit can start.
    func claimsLimited(_ results: [ClaimResult]) {
        let times = results.compactMap { result in
            if case .limited(let until) = result { until } else { nil }
        }
        if let first = times.min() { jobsStored(due: first) }
    }

    func jobsClaimed(_ count: Int) {
        let isDue = schedule.withLock {
            $0.jobsClaimed(count)
            return $0.delay(at: .now, clock.now()) == .zero
        }
        if isDue { wakeUp.signal() }
    }

    /// Publishes the jobs whose messages nsqd may have lost, and the jobs that could not be published,
    /// if a connection exists.
    func connectionChanged(_ change: ConnectionChange) {
        if change == .established { schedule.withLock { $0.connectionEstablished() } }
        wakeUp.signal()
    }

    /// Sweeps until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            await publishLostAgain()
            let delay = schedule.withLock { $0.delay(at: .now, clock.now()) }
            if delay > .zero {
                await wakeUp.wait(atMost: delay)
                continue
            }
            await sweep()
        }
    }

    /// Cancels the reservations of the jobs whose messages nsqd may have lost, and requests a sweep,
    /// which publishes the jobs again.
    private func publishLostAgain() async {
        guard let time = lostPublishes.withLock({ $0.startRepair() }) else { return }
        do throws(JobsError) {
            var count = 0
            repeat {
                count = try await store.releasePublished(
                    before: time, limit: Self.sweepLimit, policy: policy, at: clock.now())
            } while count == Self.sweepLimit
            schedule.withLock { $0.jobsStored(due: nil) }
        } catch {
            lostPublishes.withLock { $0.repairFailed(time) }
            logger.warning("cannot publish jobs again after a lost connection: \(error)")
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// Sweeps once, and records the result in the schedule.
    private func sweep() async {
        schedule.withLock { $0.sweepStarted() }
        do throws(JobsError) {
            let result = try await store.sweep(
                limit: Self.sweepLimit, policy: policy, at: clock.now())
            if result.expiredLeases > 0 {
                logger.warning(
                    "\(counted(result.expiredLeases, "job")) of workers that did not renew their leases"
                )
            }
            try await publish(result.publications)
            schedule.withLock { $0.sweepEnded(result, at: .now) }
        } catch {
            let delay = schedule.withLock { $0.sweepFailed(at: .now) }
            logger.warning("the relay of jobs failed; next attempt in \(delay): \(error)")
        }
    }
}

extension Relay {
    /// Publishes the jobs of a sweep. After a publish that nsqd refuses, which can concern one topic
    /// only, the jobs of other topics are still published.
    ///
    /// - Throws: ``JobsError/Code/brokerFailed``. The jobs that were not published can be selected again
    ///   at once.
    private func publish(_ publications: [ReservedJob]) async throws(JobsError) {
        var batches = publications.batches()[...]
        var failure: NSQError?
        while let batch = batches.popFirst() {
            do throws(NSQError) {
                try await publisher.publish(batch)
            } catch {
                failure = error
                guard error.code != .refused else { continue }
                await publisher.cancelReservations(batches.flatMap { $0 })
                break
            }
        }
        if let failure { throw JobsError(.brokerFailed, "cannot publish jobs: \(failure)") }
    }
}

extension [ReservedJob] {
    /// Divides publications, which are ordered by topic, into batches of one topic each.
    fileprivate func batches() -> [[ReservedJob]] {
        var batches: [[ReservedJob]] = []
        for publication in self {
            if let last = batches.last, last[0].topic == publication.topic,
                last.count < JobPublisher.maxBatchCount
            {
                batches[batches.count - 1].append(publication)
            } else {
                batches.append([publication])
            }
        }
        return batches
    }
}

extension MonotonicInstant {
    /// The time on the system's monotonic clock.
    static var now: MonotonicInstant { LeaseClock.system.now() }
}
