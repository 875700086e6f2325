import NSQJobs
import TallyBasics

/// A worker of the simulation: the leases that it takes for its own, and its running attempts.
struct SimulatedWorker {
    static let lease = Duration.seconds(6)
    private static let concurrency = 4
    /// The time for which the message of a running job is kept in flight, in milliseconds.
    private static let messageHold = 5_000

    private struct Attempt {
        let claim: JobClaim
        /// The message of the job, which is in flight until `heldUntil`.
        let message: JobReference
        let heldUntil: Int
        var endsAt: Int
        var outcome: JobOutcome
    }

    private(set) var number: Int64
    private var leases = LeaseTable(lease: Self.lease)
    private var attempts: [Attempt] = []
    /// The time of the restart of a killed worker; `nil` if it runs.
    private var deadUntil: Int?
    private var disconnectedUntil = 0

    init(number: Int64) { self.number = number }

    /// The jobs that the worker performs at `now`, because it did not give up their leases.
    func performed(at now: MonotonicInstant, _ time: Int) -> [JobClaim] {
        var table = leases
        _ = table.removeExpired(at: now)
        return attempts.filter { $0.endsAt > time }.map(\.claim)
            .filter { deadUntil == nil && table.holds($0) }
    }

    func canReachStore(at time: Int) -> Bool { deadUntil == nil && disconnectedUntil <= time }

    func canClaim(at time: Int) -> Bool {
        canReachStore(at: time) && attempts.count < Self.concurrency
    }

    mutating func start(
        _ claim: JobClaim, of message: JobReference, at instant: MonotonicInstant, _ time: Int,
        endsAt: Int, outcome: JobOutcome
    ) {
        leases.add(claim, at: instant)
        attempts.append(
            Attempt(
                claim: claim, message: message, heldUntil: time + Self.messageHold, endsAt: endsAt,
                outcome: outcome))
    }

    /// The messages in flight, which nsqd delivers again when the connection of the worker breaks.
    func heldMessages(at time: Int) -> [JobReference] {
        attempts.filter { $0.heldUntil > time }.map(\.message)
    }

    mutating func removeExpired(at now: MonotonicInstant) {
        for claim in leases.removeExpired(at: now) { attempts.removeAll { $0.claim == claim } }
    }

    mutating func renewals(at now: MonotonicInstant) -> [JobClaim] {
        leases.renewals(at: now).sorted { $0.id < $1.id }
    }

    mutating func renewed(
        _ claims: [JobClaim], _ answers: [JobLifecycle.Renewal], at instant: MonotonicInstant
    ) {
        for (claim, answer) in zip(claims, answers) {
            guard answer != .lost else {
                remove(claim)
                continue
            }
            leases.renewed(claim, at: instant)
            guard answer == .cancelRequested,
                let index = attempts.firstIndex(where: { $0.claim == claim })
            else { continue }
            attempts[index].endsAt = 0
            attempts[index].outcome = .cancel(reason: "x")
        }
    }

    /// The attempts that have ended and are not settled.
    func ended(at time: Int) -> [(JobClaim, JobOutcome)] {
        attempts.filter { $0.endsAt <= time }.map { ($0.claim, $0.outcome) }
    }

    mutating func remove(_ claim: JobClaim) {
        leases.remove(claim)
        attempts.removeAll { $0.claim == claim }
    }

    // MARK: Faults

    /// Kills the worker, which loses everything that it knows.
    ///
    /// - Returns: `false` if it was killed before.
    mutating func kill(until time: Int) -> Bool {
        guard deadUntil == nil else { return false }
        deadUntil = time
        attempts = []
        leases = LeaseTable(lease: Self.lease)
        return true
    }

    mutating func disconnect(until time: Int) { disconnectedUntil = time }

    /// Starts a killed worker again with a new number, if the time of its restart has come.
    ///
    /// - Returns: `true` if it has started.
    mutating func restart(at time: Int, number next: () -> Int64) -> Bool {
        guard let end = deadUntil, end <= time else { return false }
        deadUntil = nil
        number = next()
        return true
    }

    /// Ends all faults.
    mutating func recover() {
        if deadUntil != nil { deadUntil = 0 }
        disconnectedUntil = 0
    }
}
