import NSQJobs
import TallyBasics
import Testing

@Suite struct `The lifecycle of a job` {
    let now = JobTime(microseconds: 1_000_000)

    @Test func `starts available, or scheduled for a later time`() {
        #expect(JobLifecycle(maxAttempts: 3, dueAt: now, now: now).state == .available)
        var later = JobLifecycle(maxAttempts: 3, dueAt: now + .seconds(5), now: now)
        #expect(later.state == .scheduled)
        #expect(later.makeAvailable(at: now + .seconds(4)) == false)
        #expect(later.makeAvailable(at: now + .seconds(5)) == true)
        #expect(later.state == .available && later.version == 2)
    }

    @Test func `is claimed once per version`() {
        var job = JobLifecycle(maxAttempts: 3, dueAt: now, now: now)
        #expect(job.claim(version: 2, lease: lease(1, until: 30), at: now) == false)
        #expect(job.claim(version: 1, lease: lease(1, until: 30), at: now) == true)
        #expect(job.claim(version: 1, lease: lease(2, until: 30), at: now) == false)
        #expect(job.claim(version: nil, lease: lease(2, until: 30), at: now) == false)
        #expect(job.state == .running && job.attempt == 1 && job.lease?.worker == 1)
    }

    @Test func `is settled by the claim that holds it, and by no other`() throws {
        var job = running()
        let claim = try #require(job.claim)
        #expect(job.expireLease(at: instant(30), now) == true)
        #expect(job.state == .available)
        #expect(job.settle(claim, .complete, at: now) == false)
        #expect(job.claim(version: nil, lease: lease(2, until: 60), at: now) == true)
        #expect(job.settle(claim, .complete, at: now) == false)
        #expect(job.settle(try #require(job.claim), .complete, at: now) == true)
        #expect(job.state == .completed && job.finishedAt == now && job.attempt == 2)
    }

    @Test func `keeps a lease that its worker renews`() throws {
        var job = running()
        let claim = try #require(job.claim)
        #expect(job.renew(claim, until: instant(50)) == .renewed)
        #expect(job.expireLease(at: instant(49), now) == false)
        #expect(job.renew(claim, until: instant(40)) == .renewed)
        #expect(job.lease?.end == instant(50))
        #expect(job.expireLease(at: instant(50), now) == true)
        #expect(job.renew(claim, until: instant(90)) == .lost)
    }

    @Test func `is retried after failures until the last attempt, and then discarded`() throws {
        var job = running(maxAttempts: 2)
        let failure = JobOutcome.fail(error: "x", retryAfter: .seconds(9))
        #expect(job.settle(try #require(job.claim), failure, at: now) == true)
        #expect(job.state == .retryable && job.dueAt == now + .seconds(9))
        #expect(job.makeAvailable(at: now + .seconds(9)) == true)
        #expect(job.claim(version: nil, lease: lease(1, until: 60), at: now) == true)
        #expect(job.settle(try #require(job.claim), failure, at: now) == true)
        #expect(job.state == .discarded && job.attempt == 2 && job.finishedAt == now)
    }

    @Test(arguments: [
        (JobOutcome.snooze(.seconds(9)), JobState.scheduled),
        (.unhandled(reason: "x", retryAfter: .seconds(9)), .scheduled), (.release, .available),
    ])
    func `does not count an attempt without a result`(_ outcome: JobOutcome, _ state: JobState)
        throws
    {
        var job = running()
        #expect(job.settle(try #require(job.claim), outcome, at: now) == true)
        #expect(job.state == state && job.attempt == 0 && job.lease == nil)
    }

    @Test func `counts an attempt whose lease expired, and is discarded after the last`() {
        var job = running(maxAttempts: 2)
        #expect(job.expireLease(at: instant(30), now) == true)
        #expect(job.state == .available && job.attempt == 1)
        #expect(job.claim(version: nil, lease: lease(1, until: 60), at: now) == true)
        #expect(job.expireLease(at: instant(60), now) == true)
        #expect(job.state == .discarded)
    }

    @Test(arguments: [
        JobOutcome.fail(error: "x", retryAfter: .zero), .snooze(.seconds(9)), .release,
        .unhandled(reason: "x", retryAfter: .zero),
    ])
    func `does not return after a requested cancellation`(_ outcome: JobOutcome) throws {
        var job = running()
        let claim = try #require(job.claim)
        #expect(try job.cancel(at: now) == .requested)
        #expect(job.renew(claim, until: instant(50)) == .cancelRequested)
        #expect(job.settle(claim, outcome, at: now) == true)
        #expect(job.state == .cancelled && job.finishedAt == now)
    }

    @Test func `is cancelled when its lease expires after a requested cancellation`() throws {
        var job = running()
        #expect(try job.cancel(at: now) == .requested)
        #expect(job.expireLease(at: instant(30), now) == true)
        #expect(job.state == .cancelled)
    }

    @Test func `gets one more attempt by a manual retry of a discarded job`() throws {
        var job = running(maxAttempts: 1)
        #expect(job.settle(try #require(job.claim), .discard(reason: "x"), at: now) == true)
        try job.retry(at: now)
        #expect(job.state == .available && job.maxAttempts == 2 && job.finishedAt == nil)
    }

    @Test func `names both states of an illegal change`() throws {
        var job = running()
        var error = #expect(throws: JobsError.self) { try job.retry(at: now) }
        #expect(error?.code == .invalidTransition)
        #expect(
            error?.reason
                == "cannot retry a job in state 'running': it cannot become 'available'")
        error = #expect(throws: JobsError.self) { try job.discard(at: now) }
        #expect(error?.reason.hasSuffix("'discarded' (cancel it first)") == true)
        #expect(throws: JobsError.self) { try job.edit(dueAt: now, maxAttempts: nil, at: now) }
        #expect(job.settle(try #require(job.claim), .complete, at: now) == true)
        #expect(throws: JobsError.self) { try job.cancel(at: now) }
        #expect(throws: JobsError.self) { try job.discard(at: now) }
        #expect(throws: JobsError.self) { try job.edit(dueAt: nil, maxAttempts: 3, at: now) }
    }

    @Test func `changes its version with each edit, so that old messages have no effect`() throws {
        var job = JobLifecycle(maxAttempts: 3, dueAt: now, now: now)
        try job.edit(dueAt: nil, maxAttempts: 5, at: now)
        #expect(job.version == 2 && job.maxAttempts == 5 && job.state == .available)
        try job.edit(dueAt: now + .seconds(9), maxAttempts: nil, at: now)
        #expect(job.state == .scheduled)
        #expect(job.claim(version: 1, lease: lease(1, until: 30), at: now) == false)
    }

    private func running(maxAttempts: Int = 3) -> JobLifecycle {
        var job = JobLifecycle(maxAttempts: maxAttempts, dueAt: now, now: now)
        #expect(job.claim(version: 1, lease: lease(1, until: 30), at: now) == true)
        return job
    }
}

func instant(_ seconds: Int64) -> MonotonicInstant {
    MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
}

func lease(_ worker: Int64, until seconds: Int64) -> JobLifecycle.Lease {
    JobLifecycle.Lease(worker: worker, end: instant(seconds))
}
