import TallyBasics

/// The state machine of a job, without I/O and clock.
///
/// Each transition increments ``version``. A worker or a message names the version that it has seen. A
/// transition for another version has no effect, so duplicated and late messages are harmless.
///
/// - Invariant: a job in state `running` has a lease, and a job in any other state has none. Only a
///   scheduled or an available job has a ``hold``.
package struct JobLifecycle: Hashable, Sendable {
    package private(set) var state: JobState
    /// The number of started attempts that count toward ``maxAttempts``; 0 before the first.
    package private(set) var attempt: Int
    /// The maximum of ``attempt``.
    package private(set) var maxAttempts: Int
    /// The number of transitions so far, from 1.
    package private(set) var version: Int
    /// The time before which the job does not run.
    package private(set) var dueAt: JobTime
    package private(set) var lease: Lease?
    package private(set) var hold: Hold?
    /// `true` if the cancellation of the running attempt was requested.
    package private(set) var isCancelRequested: Bool
    /// The start of the latest attempt.
    package private(set) var startedAt: JobTime?
    /// The time at which the job became final.
    package private(set) var finishedAt: JobTime?

    /// Creates a job that was not stored yet.
    package init(maxAttempts: Int, dueAt: JobTime, now: JobTime) {
        state = dueAt > now ? .scheduled : .available
        attempt = 0
        self.maxAttempts = max(1, maxAttempts)
        version = 1
        self.dueAt = dueAt
        isCancelRequested = false
    }

    /// Creates a job from the columns of a store.
    package init(
        state: JobState, attempt: Int, maxAttempts: Int, version: Int, dueAt: JobTime,
        lease: Lease?, hold: Hold? = nil, isCancelRequested: Bool, startedAt: JobTime?,
        finishedAt: JobTime?
    ) {
        self.state = state
        self.attempt = attempt
        self.maxAttempts = maxAttempts
        self.version = version
        self.dueAt = dueAt
        // If another program has removed the lease of a running job, the lease counts as expired.
        self.lease =
            state == .running ? lease ?? Lease(worker: 0, end: MonotonicInstant.start) : nil
        self.hold = hold?.state == state ? hold : nil
        self.isCancelRequested = isCancelRequested
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }

    /// Identifies the running attempt for its worker; `nil` if the job does not run.
    package var claim: Claim? {
        state == .running ? Claim(version: version, attempt: attempt) : nil
    }

    // MARK: Transitions of the relay and the workers

    /// Makes a scheduled or retryable job available if it is due.
    ///
    /// - Returns: `false` if the job is not due, does not wait for a time, or also waits for a limit or
    ///   other jobs.
    package mutating func makeAvailable(at now: JobTime) -> Bool {
        guard state.isWaitingForTime, hold == nil, dueAt <= now else { return false }
        enter(.available)
        return true
    }

    /// Makes a new job wait for other jobs.
    package mutating func waitForJobs() {
        state = .scheduled
        hold = .jobs
    }

    /// Records that all jobs for which this one waits have ended.
    ///
    /// - Returns: `false` if the job does not wait for other jobs.
    package mutating func dependenciesEnded(at now: JobTime) -> Bool {
        guard hold == .jobs else { return false }
        enter(dueAt > now ? .scheduled : .available)
        return true
    }

    /// Starts an attempt.
    ///
    /// - Parameters:
    ///   - version: the version that the worker has seen; `nil` for any.
    ///   - lease: the worker and the end of its lease.
    /// - Returns: `false` if the job is not available any more in that version.
    package mutating func claim(version: Int?, lease: Lease, at now: JobTime) -> Bool {
        guard state == .available, version ?? self.version == self.version else { return false }
        attempt += 1
        enter(.running)
        self.lease = lease
        startedAt = now
        return true
    }

    /// Makes an available job wait for a limit, or makes a job that waits for the limit of its key wait
    /// for the limit of its queue.
    ///
    /// - Parameters:
    ///   - hold: ``Hold/keyLimit`` or ``Hold/queueLimit``.
    ///   - due: the earliest time at which the job can start; `nil` if that is not known.
    /// - Returns: `false` if the job is neither available nor waits for the limit of its key.
    package mutating func waitForLimit(_ hold: Hold, until due: JobTime? = nil) -> Bool {
        guard state == .available || self.hold == .keyLimit,
            hold == .keyLimit || hold == .queueLimit
        else { return false }
        if let due { dueAt = due }
        enter(.scheduled, hold)
        return true
    }

    /// Makes a job that waits for a limit available, with a slot of each limit.
    ///
    /// - Returns: `false` if the job does not wait for a limit.
    package mutating func admit(at now: JobTime) -> Bool {
        guard hold == .keyLimit || hold == .queueLimit else { return false }
        dueAt = min(dueAt, now)
        enter(.available, .admitted)
        return true
    }

    /// Extends the lease of the running attempt. The version stays the same.
    package mutating func renew(_ claim: Claim, until end: MonotonicInstant) -> Renewal {
        guard self.claim == claim, let lease else { return .lost }
        self.lease = Lease(worker: lease.worker, end: max(lease.end, end))
        return isCancelRequested ? .cancelRequested : .renewed
    }

    /// Ends the running attempt.
    ///
    /// - Parameter claim: the claim of the worker.
    /// - Returns: `false` if the worker does not hold the job any more.
    package mutating func settle(_ claim: Claim, _ outcome: JobOutcome, at now: JobTime) -> Bool {
        guard self.claim == claim else { return false }
        switch outcome {
        case .complete: finish(.completed, at: now)
        case .discard: finish(.discarded, at: now)
        case .cancel: finish(.cancelled, at: now)
        case .fail(_, let delay): endAttempt(retryingAt: now + delay, now)
        case .snooze(let delay), .unhandled(_, let delay):
            endUncounted(isCancelRequested ? .cancelled : .scheduled, dueAt: now + delay, now)
        case .release:
            endUncounted(isCancelRequested ? .cancelled : .available, dueAt: dueAt, now)
        }
        return true
    }

    /// Ends the lease at `end`, or at its own end if that is earlier. The caller has verified that
    /// the process of the lease's worker has ended.
    package mutating func endLease(at end: MonotonicInstant) {
        guard let lease else { return }
        self.lease = Lease(worker: lease.worker, end: min(lease.end, end))
    }

    /// Ends the attempt of a worker that did not renew its lease. The attempt counts, so that a job
    /// that crashes its worker in each attempt is discarded after its last attempt.
    ///
    /// - Returns: `false` if the job does not run, or its lease is live.
    package mutating func expireLease(at leaseNow: MonotonicInstant, _ now: JobTime) -> Bool {
        guard let lease, lease.end <= leaseNow else { return false }
        if isCancelRequested {
            finish(.cancelled, at: now)
        } else if attempt >= maxAttempts {
            finish(.discarded, at: now)
        } else {
            enter(.available)
        }
        return true
    }

    private mutating func endAttempt(retryingAt due: JobTime, _ now: JobTime) {
        guard !isCancelRequested else { return finish(.cancelled, at: now) }
        guard attempt < maxAttempts else { return finish(.discarded, at: now) }
        dueAt = due
        enter(.retryable)
    }

    private mutating func endUncounted(_ state: JobState, dueAt due: JobTime, _ now: JobTime) {
        attempt -= 1
        guard !state.isFinal else { return finish(state, at: now) }
        dueAt = due
        enter(state)
    }

    private mutating func finish(_ state: JobState, at now: JobTime) {
        enter(state)
        finishedAt = now
    }

    private mutating func enter(_ state: JobState, _ hold: Hold? = nil) {
        self.state = state
        self.hold = hold
        version += 1
        lease = nil
        isCancelRequested = false
        finishedAt = nil
    }
}

// MARK: - Transitions that people request

extension JobLifecycle {
    /// Cancels a job that waits, or requests the cancellation of a running attempt.
    ///
    /// - Throws: ``JobsError/Code/invalidTransition`` if the job is final.
    package mutating func cancel(at now: JobTime) throws(JobsError) -> Cancellation {
        guard !state.isFinal else {
            throw .invalidTransition("cancel", from: state, to: .cancelled)
        }
        guard state == .running else {
            finish(.cancelled, at: now)
            return .cancelled
        }
        isCancelRequested = true
        return .requested
    }

    /// Discards a job that waits.
    ///
    /// - Throws: ``JobsError/Code/invalidTransition`` if the job runs or is final.
    package mutating func discard(at now: JobTime) throws(JobsError) {
        guard state != .running else {
            throw .invalidTransition(
                "discard", from: state, to: .discarded, hint: "cancel it first")
        }
        guard !state.isFinal else {
            throw .invalidTransition("discard", from: state, to: .discarded)
        }
        finish(.discarded, at: now)
    }

    /// Makes a job that waits or is final available at once. A job without an attempt left gets one
    /// more.
    ///
    /// - Throws: ``JobsError/Code/invalidTransition`` if the job is available or runs.
    package mutating func retry(at now: JobTime) throws(JobsError) {
        guard state != .running, state != .available else {
            throw .invalidTransition("retry", from: state, to: .available)
        }
        if attempt >= maxAttempts { maxAttempts = attempt + 1 }
        dueAt = now
        enter(.available)
    }

    /// Changes the due time and the maximum number of attempts of a job that waits; `nil` keeps the old
    /// value. The version always changes, because other fields of the job may have changed: a worker
    /// that has seen the old fields must not claim the job.
    ///
    /// - Throws: ``JobsError/Code/invalidTransition`` if the job runs or is final.
    package mutating func edit(dueAt due: JobTime?, maxAttempts limit: Int?, at now: JobTime)
        throws(JobsError)
    {
        let target: JobState = (due ?? dueAt) > now ? .scheduled : .available
        guard state != .running, !state.isFinal else {
            throw .invalidTransition("change", from: state, to: target)
        }
        if let limit { maxAttempts = max(attempt + 1, limit) }
        if let due { dueAt = due }
        if hold == .jobs { return enter(.scheduled, .jobs) }
        enter(due == nil ? state : target)
    }
}
