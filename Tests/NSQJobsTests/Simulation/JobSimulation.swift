import NSQJobs
import TallyBasics

/// One seeded run of jobs, two relays and two workers. The faults are a network that loses, repeats
/// and delays messages, a wall clock that jumps, workers that are killed or cannot reach the store,
/// and commits whose answers are lost.
///
/// After the faults have ended, every committed job must come to an end.
final class JobSimulation {
    /// A rule that a run has violated.
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    private struct Envelope {
        let reference: JobReference
        let deliverAt: Int
    }

    private struct SimulatedJob {
        let limitKey: String?
        let maxAttempts: Int
        /// The number of attempts that fail before one succeeds.
        let failures: Int
        let dependencies: [JobID]
        var hasEnded = false
        /// `true` if the simulation has retried the job. The job then waits for nothing any more.
        var isRetried = false
        var completions = 0
        var starts = 0
    }

    private let store: any SimulatedJobStore
    private let leases: ManualLeaseClock
    private var random: SplitMix64
    private let policy = PublishPolicy(
        republishDelay: .seconds(5), maxRepublishDelay: .seconds(20), window: 8)
    private var relays: [RelaySchedule]
    private var workers: [SimulatedWorker]
    private var lastWorker: Int64 = 2
    private var network: [Envelope] = []
    /// The workers whose processes are ending, and the times of the ends.
    private var endingWorkers: [(number: Int64, at: Int)] = []
    private var jobs: [JobID: SimulatedJob] = [:]
    /// The true time in milliseconds since the start.
    private var time = 0
    /// The difference of the wall clock, in milliseconds.
    private var wallOffset = 1_000_000_000
    private var hasFaults = true
    private var limits: LimitChecker

    init(seed: UInt64, _ store: any SimulatedJobStore, _ leases: ManualLeaseClock) {
        self.store = store
        self.leases = leases
        random = SplitMix64(seed: seed)
        limits = LimitChecker(LimitChecker.Kind.allCases[random.next(below: 3)])
        relays = (0..<2).map { RelaySchedule(interval: .seconds(1), window: 8, seed: seed &+ $0) }
        workers = [SimulatedWorker(number: 1), SimulatedWorker(number: 2)]
    }

    private var wall: JobTime {
        JobTime(microseconds: Int64(time + wallOffset) * 1_000)
    }

    /// Runs the whole simulation.
    ///
    /// - Throws: ``Violation``.
    func run(steps: Int) async throws {
        try await setLimits()
        for _ in workers { try await store.workerStarted(at: wall) }
        for _ in 0..<steps {
            try await step()
            if chance(4) { try await enqueue() }
            try await disturb()
        }
        hasFaults = false
        for index in workers.indices { workers[index].recover() }
        var rest = 4_000
        while try await !areAllJobsFinal() {
            rest -= 1
            guard rest > 0 else { throw try await unfinished() }
            try await step(atMost: 10_000)
        }
        try await checkEnds()
    }

    private func step(atMost longest: Int = 600) async throws {
        let passed = random.next(below: longest) + 1
        time += passed
        leases.advance(by: .milliseconds(passed))
        for worker in endingWorkers where worker.at <= time { store.workerEnded(worker.number) }
        endingWorkers.removeAll { $0.at <= time }
        for index in relays.indices { try await runRelay(index) }
        for index in workers.indices { try await runWorker(index) }
        try await recordEnds()
        try await deliver()
        try checkPerformed()
        try await checkLimits()
    }

    // MARK: Dependencies

    /// Records which jobs have ended, at least once.
    private func recordEnds() async throws {
        for (id, job) in jobs where !job.hasEnded {
            jobs[id]?.hasEnded = try await store.lifecycle(of: id).state.isFinal
        }
    }

    private func checkDependencies(of id: JobID) throws {
        guard let job = jobs[id], !job.isRetried else { return }
        for dependency in job.dependencies where jobs[dependency]?.hasEnded == false {
            throw Violation(description: "job \(id) starts before the end of job \(dependency)")
        }
    }

    // MARK: Limits

    private func setLimits() async throws {
        guard limits.kind != .none else { return }
        limits.whole = JobLimit(
            maxRunning: chance(2) ? 1 + random.next(below: 3) : nil,
            rate: chance(2) ? .init(1 + random.next(below: 4), per: .seconds(3)) : nil)
        if chance(2) {
            limits.perKey = JobLimit(
                maxRunning: chance(2) ? 1 : nil,
                rate: chance(2) ? .init(1 + random.next(below: 2), per: .seconds(2)) : nil)
        }
        try await store.setLimit(limits.whole, isPerKey: false)
        try await store.setLimit(limits.perKey, isPerKey: true)
    }

    private func checkLimits() async throws {
        var running: [JobID: String?] = [:]
        for (id, job) in jobs where try await store.lifecycle(of: id).state == .running {
            running[id] = .some(job.limitKey)
        }
        try limits.check(running: running)
    }

    // MARK: Jobs

    private func enqueue() async throws {
        let maxAttempts = 1 + random.next(below: 4)
        let due = chance(3) ? wall + .milliseconds(random.next(below: 5_000)) : nil
        let options = JobOptions(maxAttempts: maxAttempts)
        let key = ["a", "b", nil][random.next(below: 3)]
        let dependencies = jobs.keys.sorted().suffix(6).filter { _ in chance(8) }
        // A transaction that rolls back stores nothing, so no message can name its job.
        if hasFaults, chance(10) { return }
        let id = try await store.enqueue(
            NewJob(
                name: "n", options: options, limitKey: key,
                dependencies: JobDependencies(
                    dependencies, onFailure: chance(2) ? .cancel : .run), dueAt: due), at: wall)
        jobs[id] = SimulatedJob(
            limitKey: key, maxAttempts: maxAttempts, failures: random.next(below: 3),
            dependencies: dependencies)
        // Without this wake-up, the interval of the sweeps finds the job.
        if !chance(5) { relays[random.next(below: 2)].jobsStored(due: due) }
    }

    private func areAllJobsFinal() async throws -> Bool {
        for id in jobs.keys where try await !store.lifecycle(of: id).state.isFinal { return false }
        return true
    }

    private func unfinished() async throws -> Violation {
        for id in jobs.keys.sorted() {
            let job = try await store.lifecycle(of: id)
            if !job.state.isFinal { return Violation(description: "job \(id) never ended: \(job)") }
        }
        return Violation(description: "no job is unfinished")
    }

    private func checkEnds() async throws {
        for (id, job) in jobs {
            let end = try await store.lifecycle(of: id)
            guard end.attempt <= end.maxAttempts else {
                throw Violation(description: "job \(id) has \(end.attempt) attempts")
            }
            guard job.completions == (end.state == .completed ? 1 : 0) else {
                throw Violation(
                    description: "job \(id) is \(end.state) after \(job.completions) completions")
            }
            guard end.state != .completed || job.starts > 0 else {
                throw Violation(description: "job \(id) was completed and never started")
            }
        }
    }

    /// Two workers never perform one job at the same time.
    private func checkPerformed() throws {
        var holders: [JobID: Int64] = [:]
        for worker in workers {
            for claim in worker.performed(at: leases.now, time) {
                if let other = holders.updateValue(worker.number, forKey: claim.id) {
                    throw Violation(
                        description: "job \(claim.id) runs in workers \(other) and \(worker.number)"
                    )
                }
            }
        }
    }

    // MARK: Relays

    private func runRelay(_ index: Int) async throws {
        guard relays[index].delay(at: leases.now, wall) == .zero else { return }
        relays[index].sweepStarted()
        if fault(20) {
            relays[index].sweepFailed(at: leases.now)
            return
        }
        let result = try await store.sweep(policy: policy, at: wall)
        // A relay that is killed here publishes nothing of what it has reserved.
        if fault(20) { return }
        if !result.publications.isEmpty, fault(10) {
            try await store.cancelReservations(result.publications.map(\.reference))
            relays[index].sweepFailed(at: leases.now)
            return
        }
        for publication in result.publications { send(publication.reference) }
        relays[index].sweepEnded(result, at: leases.now)
    }

    private func send(_ reference: JobReference) {
        if fault(6) { return }
        for _ in 0..<(fault(6) ? 3 : 1) {
            let delay = random.next(below: fault(8) ? 40_000 : 50)
            network.append(Envelope(reference: reference, deliverAt: time + delay))
        }
    }

    private func deliver() async throws {
        let due = network.filter { $0.deliverAt <= time }
        network.removeAll { $0.deliverAt <= time }
        for envelope in due {
            let index = random.next(below: workers.count)
            guard workers[index].canClaim(at: time) else {
                network.append(
                    Envelope(reference: envelope.reference, deliverAt: time + 100))
                continue
            }
            try await claim(envelope.reference, index)
        }
    }

    // MARK: Workers

    private func claim(_ reference: JobReference, _ index: Int) async throws {
        let instant = leases.now
        let claim = try await store.claim(
            reference, worker: workers[index].number, lease: SimulatedWorker.lease, at: wall)
        if claim != nil { try checkDependencies(of: reference.id) }
        if claim != nil { try limits.started(key: jobs[reference.id]?.limitKey, at: wall) }
        // The answer of a commit can be lost. The worker then does not know that it holds the job.
        guard let claim, !fault(15) else { return }
        let held = JobClaim(reference.id, claim)
        let duration = random.next(below: fault(4) ? 20_000 : 2_000)
        jobs[reference.id]?.starts += 1
        let isFailing = claim.attempt <= jobs[reference.id]?.failures ?? 0
        workers[index].start(
            held, of: reference, at: instant, time, endsAt: time + duration,
            outcome: isFailing ? failure() : .complete)
    }

    private func failure() -> JobOutcome {
        switch random.next(below: 6) {
        case 0: .release
        case 1: .unhandled(reason: "x", retryAfter: .milliseconds(700))
        case 2: .discard(reason: "x")
        default: .fail(error: "x", retryAfter: .milliseconds(random.next(below: 4_000)))
        }
    }

    private func runWorker(_ index: Int) async throws {
        let isStarted = workers[index].restart(at: time) {
            lastWorker += 1
            return lastWorker
        }
        if isStarted { try await store.workerStarted(at: wall) }
        workers[index].removeExpired(at: leases.now)
        guard workers[index].canReachStore(at: time) else { return }
        let claims = workers[index].renewals(at: leases.now)
        let instant = leases.now
        let answers = try await store.renew(claims, lease: SimulatedWorker.lease)
        if !fault(10) { workers[index].renewed(claims, answers, at: instant) }
        for (claim, outcome) in workers[index].ended(at: time) {
            let isHeld = try await store.settle(Settlement(claim, outcome), at: wall)
            if isHeld, outcome == .complete { jobs[claim.id]?.completions += 1 }
            // If the answer is lost, the worker settles the attempt again, which must have no effect.
            if !fault(10) { workers[index].remove(claim) }
        }
    }

    // MARK: Faults

    private func disturb() async throws {
        if chance(60) { kill(random.next(below: 2)) }
        // The worker continues without its connection to nsqd.
        if chance(30) { redeliver(workers[random.next(below: 2)].heldMessages(at: time)) }
        if chance(40) {
            workers[random.next(below: 2)].disconnect(until: time + random.next(below: 8_000))
        }
        if limits.kind == .changing, chance(30) { try await setLimits() }
        if chance(80) {
            wallOffset += random.next(below: 7_200_000) - 3_600_000
            limits.clockWasSet()
        }
        if chance(30), let id = jobs.keys.sorted().randomElement(using: &random) {
            let changes: [JobChange] = [.cancel, .discard, .retry]
            // An illegal change has no effect.
            let change = changes[random.next(below: 3)]
            let old = try await store.lifecycle(of: id).state
            do throws(any Error) { try await store.change(id, change, at: wall) } catch { return }
            if case .retry = change { jobs[id]?.isRetried = true }
            if case .retry = change, old == .completed { jobs[id]?.completions -= 1 }
        }
    }

    private func kill(_ index: Int) {
        let held = workers[index].heldMessages(at: time)
        let number = workers[index].number
        guard workers[index].kill(until: time + random.next(below: 8_000)) else { return }
        redeliver(held)
        endingWorkers.append((number, time + random.next(below: 2) * random.next(below: 1_000)))
    }

    private func redeliver(_ messages: [JobReference]) {
        for message in messages {
            network.append(
                Envelope(reference: message, deliverAt: time + random.next(below: 300)))
        }
    }

    private func chance(_ bound: Int) -> Bool { random.next(below: bound) == 0 }

    private func fault(_ bound: Int) -> Bool { hasFaults && chance(bound) }
}
