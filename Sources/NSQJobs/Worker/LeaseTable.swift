import TallyBasics

/// The leases that a worker holds, without I/O and clock.
///
/// A lease is renewed when a third of it has passed, and repeatedly after failures. Shortly before the
/// end of a lease, the worker releases it, because another worker may claim the job after the end.
package struct LeaseTable: Sendable {
    private struct Entry {
        let claim: JobLifecycle.Claim
        let claimedAt: MonotonicInstant
        var end: MonotonicInstant
        var renewAt: MonotonicInstant
    }

    private let lease: Duration
    private var entries: [JobID: Entry] = [:]

    /// Creates an empty table.
    ///
    /// - Parameter lease: the duration of a lease.
    package init(lease: Duration) {
        self.lease = lease
    }

    /// The time before the end of a lease at which the worker releases the lease.
    package var safetyMargin: Duration { lease / 10 }

    package var count: Int { entries.count }

    /// Adds a claim.
    ///
    /// - Parameter instant: a time before the store computed the end of the lease, so that the end in
    ///   this table is not later.
    package mutating func add(_ claim: JobClaim, at instant: MonotonicInstant) {
        entries[claim.id] = Entry(
            claim: claim.claim, claimedAt: instant, end: instant + lease,
            renewAt: instant + lease / 3)
    }

    /// Removes a settled or lost claim.
    package mutating func remove(_ claim: JobClaim) {
        if holds(claim) { entries[claim.id] = nil }
    }

    /// Returns `true` while the worker holds the claim, that is, until the claim is removed or its
    /// lease is released.
    package func holds(_ claim: JobClaim) -> Bool { entries[claim.id]?.claim == claim.claim }

    /// Returns the claims to renew now. They are returned again after a twelfth of the lease if no answer
    /// arrives.
    package mutating func renewals(at now: MonotonicInstant) -> [JobClaim] {
        let due = entries.filter { $0.value.renewAt <= now }
        for id in due.keys { entries[id]?.renewAt = now + lease / 12 }
        return due.map { JobClaim($0.key, $0.value.claim) }
    }

    /// Records that the store has renewed a claim.
    ///
    /// - Parameter instant: a time before the store computed the end of the lease, so that the end in
    ///   this table is not later.
    package mutating func renewed(_ claim: JobClaim, at instant: MonotonicInstant) {
        guard var entry = entries[claim.id], entry.claim == claim.claim else { return }
        entry.end = max(entry.end, instant + lease)
        entry.renewAt = instant + lease / 3
        entries[claim.id] = entry
    }

    /// Removes and returns the claims whose lease ends within the safety margin.
    package mutating func removeExpired(at now: MonotonicInstant) -> [JobClaim] {
        let limit = now + safetyMargin
        let expired = entries.filter { $0.value.end <= limit }
        for id in expired.keys { entries[id] = nil }
        return expired.map { JobClaim($0.key, $0.value.claim) }
    }

    /// Returns the claims that are held for at least `age`, for the check of cancellations.
    package func claims(heldFor age: Duration, at now: MonotonicInstant) -> [JobClaim] {
        entries.filter { $0.value.claimedAt + age <= now }
            .map { JobClaim($0.key, $0.value.claim) }
    }
}
