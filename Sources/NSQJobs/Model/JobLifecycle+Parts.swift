import TallyBasics

// The values that a job has in some of its states, and the results of its transitions.

extension JobLifecycle {
    /// The right of one worker to perform the job until a time.
    package struct Lease: Hashable, Sendable {
        /// The worker's number in the store.
        package let worker: Int64
        /// The end on the lease clock, which never jumps while the machine runs.
        package let end: MonotonicInstant

        package init(worker: Int64, end: MonotonicInstant) {
            self.worker = worker
            self.end = end
        }
    }

    /// Identifies a claim: the start of an attempt by one worker. The worker passes it when it settles
    /// the job, that is, when it records how the attempt ended.
    package struct Claim: Hashable, Sendable {
        package let version: Int
        package let attempt: Int

        package init(version: Int, attempt: Int) {
            self.version = version
            self.attempt = attempt
        }
    }

    /// The reason why a job waits, other than its due time and a free worker. ``admitted`` marks a job
    /// that has waited for a limit and does not wait for it any more.
    package enum Hold: Int, Hashable, Sendable {
        /// A scheduled job waits for the limit of its key.
        case keyLimit = 1
        /// A scheduled job waits for the limit of its queue. If its key has a limit too, the job
        /// already has a slot of that limit.
        case queueLimit = 2
        /// An available job has waited for a limit, and now has a slot of each limit.
        case admitted = 3
        /// A scheduled job waits for the end of other jobs.
        case jobs = 4
    }

    /// The result of renewing a lease, for the worker.
    package enum Renewal: Hashable, Sendable {
        case renewed
        /// The lease is renewed, and the attempt is to be cancelled.
        case cancelRequested
        /// The worker does not hold the job any more, and must cancel the attempt.
        case lost
    }

    /// The result of a request to cancel a job.
    package enum Cancellation: Hashable, Sendable {
        case cancelled
        /// The job runs, and its worker is to cancel the attempt.
        case requested
    }
}

extension JobLifecycle.Hold {
    /// The state of a job with this hold.
    var state: JobState { self == .admitted ? .available : .scheduled }
}
