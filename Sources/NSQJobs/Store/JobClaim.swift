/// The ID of a job, and the claim under which a worker performs it.
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

/// The results of claims.
package struct ClaimResults: Sendable {
    /// One result for each reference, in order.
    package let results: [ClaimResult]
    /// `true` if other jobs became available, because their worker has ended.
    package let hasNewlyAvailable: Bool

    package init(_ results: [ClaimResult], hasNewlyAvailable: Bool = false) {
        self.results = results
        self.hasNewlyAvailable = hasNewlyAvailable
    }
}
