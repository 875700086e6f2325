import NSQJobs
import TallyBasics
import Testing

@Suite struct `The leases of a worker` {
    let first = JobClaim(JobID(1), .init(version: 2, attempt: 1))
    let second = JobClaim(JobID(2), .init(version: 2, attempt: 1))

    @Test func `are renewed after a third, and again if no answer arrives`() {
        var table = LeaseTable(lease: .seconds(30))
        table.add(first, at: instant(0))
        #expect(table.renewals(at: instant(9)) == [])
        table.add(second, at: instant(9))
        #expect(table.renewals(at: instant(10)) == [first])
        #expect(table.renewals(at: instant(12)) == [])
        #expect(table.renewals(at: instant(13)) == [first])
        table.renewed(first, at: instant(13))
        #expect(table.renewals(at: instant(22)) == [second])
        #expect(table.renewals(at: instant(23)) == [first])
    }

    @Test func `are given up before their end, and not after a renewal`() {
        var table = LeaseTable(lease: .seconds(30))
        table.add(first, at: instant(0))
        table.add(second, at: instant(0))
        table.renewed(first, at: instant(10))
        #expect(table.removeExpired(at: instant(26)) == [])
        #expect(table.removeExpired(at: instant(27)) == [second])
        #expect(table.holds(first) && !table.holds(second) && table.count == 1)
        #expect(table.removeExpired(at: instant(37)) == [first])
    }

    @Test func `belong to a claim, and not to a job`() {
        var table = LeaseTable(lease: .seconds(30))
        table.add(first, at: instant(0))
        let later = JobClaim(JobID(1), .init(version: 4, attempt: 2))
        table.add(later, at: instant(20))
        table.renewed(first, at: instant(25))
        table.remove(first)
        #expect(table.holds(later) && !table.holds(first))
        #expect(table.removeExpired(at: instant(47)) == [later])
    }

    @Test func `are checked for cancellations when they are old enough`() {
        var table = LeaseTable(lease: .seconds(30))
        table.add(first, at: instant(0))
        table.add(second, at: instant(5))
        #expect(table.claims(heldFor: .seconds(5), at: instant(6)) == [first])
    }
}

@Suite struct `The claims of a worker` {
    @Test func `are one per free slot for long jobs`() {
        var window = ClaimWindow(concurrency: 4)
        #expect(window.limit == 4 && !window.isAhead)
        for _ in 0..<100 { window.attemptEnded(after: .milliseconds(15)) }
        #expect(window.limit == 4 && !window.isAhead)
    }

    @Test func `are ahead for short jobs, and bounded`() {
        var window = ClaimWindow(concurrency: 4)
        window.attemptEnded(after: .milliseconds(1))
        #expect(window.limit == 4 + 64 && window.isAhead)
        for _ in 0..<100 { window.attemptEnded(after: .zero) }
        #expect(window.limit == 4 + ClaimWindow.maxAhead)
    }

    @Test func `are not ahead any more when running jobs do not end`() {
        var window = ClaimWindow(concurrency: 4)
        for _ in 0..<100 { window.attemptEnded(after: .milliseconds(1)) }
        window.check(active: 4, interval: .milliseconds(50))
        #expect(window.isAhead)
        window.check(active: 4, interval: .milliseconds(50))
        #expect(!window.isAhead)
    }
}

@Suite struct `The queue of a worker` {
    @Test func `claims high priorities first, one batch at a time, up to the limit`() {
        var queue = WorkerQueue<String>(concurrency: 2)
        #expect(add("low", .low, to: &queue) && add("n1", .normal, to: &queue))
        #expect(add("n2", .normal, to: &queue) && add("high", .high, to: &queue))
        #expect(queue.startClaim(limit: 3, at: .start).map(\.token) == ["high", "n1", "n2"])
        #expect(queue.active == 3)
        #expect(queue.startClaim(limit: 9, at: .start).isEmpty)
        queue.endClaim([])
        #expect(queue.startClaim(limit: 3, at: .start).map(\.token) == ["low"])
        #expect(!queue.hasWaiting)
    }

    @Test func `lets a message wait shortly for those of a higher class that has had some`() {
        var queue = WorkerQueue<String>(concurrency: 2)
        var now = MonotonicInstant.start
        func claim() -> [String] { queue.startClaim(limit: 2, at: now).map(\.token) }
        // No message of the high class has arrived yet.
        queue.opened(at: now)
        queue.requested()
        #expect(add("low", .low, to: &queue) && claim() == ["low"])
        queue.endClaim([])
        #expect(add("h1", .high, to: &queue) && claim() == ["h1"])
        queue.endClaim([])
        now = now + .seconds(1)
        queue.opened(at: now)
        queue.requested()
        #expect(add("n1", .normal, to: &queue) && claim().isEmpty)
        #expect(queue.postponement(limit: 2, at: now) == WorkerQueue<String>.arrivalTime)
        now = now + .milliseconds(1)
        #expect(queue.postponement(limit: 0, at: now) == nil, "no slot is free")
        #expect(add("h2", .high, to: &queue) && claim() == ["h2"])
        queue.endClaim([])
        #expect(claim().isEmpty)
        now = now + WorkerQueue<String>.arrivalTime
        #expect(queue.postponement(limit: 2, at: now) == nil)
        #expect(claim() == ["n1"])
    }

    @Test func `lets a message wait no longer because others of a higher class arrive`() {
        var queue = WorkerQueue<String>(concurrency: 4)
        var now = MonotonicInstant.start
        func claim() -> [String] { queue.startClaim(limit: 4, at: now).map(\.token) }
        #expect(add("h", .high, to: &queue) && claim() == ["h"])
        queue.endClaim([])
        queue.opened(at: now)
        queue.requested()
        #expect(add("low", .low, to: &queue) && claim().isEmpty)
        #expect(add("h", .high, to: &queue) && claim() == ["h"])
        queue.endClaim([])
        now = now + .milliseconds(3)
        #expect(add("h", .high, to: &queue) && claim() == ["h"])
        queue.endClaim([])
        queue.opened(at: now)
        queue.requested()
        #expect(queue.postponement(limit: 4, at: now) == .milliseconds(2))
        now = now + .milliseconds(3)
        #expect(add("h", .high, to: &queue) && claim() == ["h", "low"])
    }

    @Test func `lets a message wait while all slots are busy, and then for a higher class`() {
        var queue = WorkerQueue<String>(concurrency: 1)
        var now = MonotonicInstant.start
        func claim() -> [String] { queue.startClaim(limit: 1, at: now).map(\.token) }
        #expect(add("high", .high, to: &queue) && add("low", .low, to: &queue))
        #expect(claim() == ["high"])
        now = now + .seconds(1)
        queue.endClaim([])
        queue.opened(at: now)
        queue.requested()
        #expect(claim().isEmpty)
        now = now + .milliseconds(4)
        #expect(claim().isEmpty)
        now = now + .milliseconds(1)
        #expect(claim() == ["low"])
    }

    @Test func `returns some of the waiting messages, and keeps the others in order`() {
        var queue = WorkerQueue<String>(concurrency: 9)
        for token in ["a", "b", "c", "d"] { #expect(add(token, .low, to: &queue)) }
        #expect(queue.removeWaiting { "ac".contains($0.token) }.map(\.token) == ["a", "c"])
        #expect(queue.startClaim(limit: 9, at: .start).map(\.token) == ["b", "d"])
    }

    @Test func `lets no message wait for a class that has had none for a while`() {
        var queue = WorkerQueue<String>(concurrency: 1)
        #expect(add("h", .high, to: &queue))
        _ = queue.startClaim(limit: 1, at: .start)
        queue.endClaim([])
        for opening in 1...WorkerQueue<String>.maxEmptyOpenings + 1 {
            queue.opened(at: .start)
            queue.requested()
            #expect(add("n", .normal, to: &queue))
            let isFree = opening > WorkerQueue<String>.maxEmptyOpenings
            #expect(queue.startClaim(limit: 1, at: .start).isEmpty == !isFree)
            if !isFree { _ = queue.removeWaiting() }
        }
    }

    @Test func `lets no message wait in the weighted order`() {
        var queue = WorkerQueue<String>(concurrency: 1, order: .weighted())
        #expect(add("h", .high, to: &queue))
        _ = queue.startClaim(limit: 1, at: .start)
        queue.endClaim([])
        queue.opened(at: .start)
        queue.requested()
        #expect(add("n", .normal, to: &queue))
        #expect(queue.startClaim(limit: 1, at: .start).map(\.token) == ["n"])
    }

    @Test func `gives each class its share in the weighted order`() {
        var queue = WorkerQueue<String>(
            concurrency: 1, order: .weighted(high: 6, normal: 3, low: 1))
        for _ in 0..<100 {
            for priority in JobPriority.allCases {
                #expect(add("\(priority)", priority, to: &queue))
            }
        }
        let tokens = queue.startClaim(limit: 50, at: .start).map(\.token)
        #expect(tokens.count { $0 == "high" } == 30 && tokens.count { $0 == "normal" } == 15)
        #expect(tokens.prefix(10).count { $0 == "low" } == 1)
        // A priority class without jobs leaves its share to the other classes.
        queue.endClaim([])
        #expect(queue.startClaim(limit: 1_000, at: .start).count == 250)
        #expect(!queue.hasWaiting)
    }

    @Test func `starts claimed jobs while slots are free`() async throws {
        let jobs = try await claimedJobs(3)
        var queue = WorkerQueue<String>(concurrency: 2)
        queue.endClaim(jobs)
        #expect(queue.startNext()?.id == jobs[0].id && queue.startNext()?.id == jobs[1].id)
        #expect(queue.startNext() == nil && queue.active == 3)
        queue.jobEnded()
        #expect(queue.startNext()?.id == jobs[2].id && queue.active == 2)
    }

    @Test func `starts and accepts nothing after a stop, and returns what has not started`()
        async throws
    {
        let jobs = try await claimedJobs(2)
        var queue = WorkerQueue<String>(concurrency: 1)
        #expect(add("n", .normal, to: &queue))
        queue.endClaim(jobs)
        _ = queue.startNext()
        queue.stop()
        #expect(!add("late", .normal, to: &queue))
        #expect(queue.startClaim(limit: 9, at: .start).isEmpty && queue.startNext() == nil)
        #expect(queue.removeWaiting().map(\.token) == ["n"])
        #expect(queue.removeClaimed().map(\.id) == [jobs[1].id] && queue.active == 1)
    }

    private func add(
        _ token: String, _ priority: JobPriority, to queue: inout WorkerQueue<String>
    ) -> Bool {
        queue.add(JobReference(id: JobID(1), version: 1), priority, token)
    }

    private func claimedJobs(_ count: Int) async throws -> [JobRecord] {
        let fixture = try await StoreFixture()
        var jobs: [JobRecord] = []
        for _ in 0..<count { jobs.append(try await fixture.running()) }
        return jobs
    }
}

@Suite struct `Held messages` {
    @Test func `are released with their job, or after a time`() {
        var held = HeldMessages<String>(sources: 2)
        for number in 1...3 {
            held.hold(
                "m\(number)", of: claim(number), from: number % 2,
                at: MonotonicInstant.start + .seconds(number))
        }
        #expect(held.count(of: 0) == 1 && held.count(of: 1) == 2)
        #expect(held.release(claim(3)) == "m3" && held.release(claim(3)) == nil)
        let later = MonotonicInstant.start + .seconds(11)
        #expect(held.releaseAll(heldFor: .seconds(10), at: later) == ["m1"])
        #expect(held.count(of: 0) == 1 && held.count(of: 1) == 0)
        #expect(held.releaseAll(heldFor: .zero, at: later) == ["m2"])
    }

    private func claim(_ number: Int) -> JobClaim {
        JobClaim(JobID(Int64(number)), JobLifecycle.Claim(version: 2, attempt: 1))
    }
}
