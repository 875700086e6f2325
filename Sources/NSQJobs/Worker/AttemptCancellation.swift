import UVLoop

/// The reason why the task of an attempt was cancelled.
final class AttemptCancellation: Sendable {
    enum Reason: Hashable, Sendable {
        /// The attempt took longer than the timeout of its job.
        case timeout(Duration)
        /// The cancellation of the job was requested.
        case requested
        /// The worker did not renew the lease before its end, or the store shows that the worker does
        /// not hold the job any more.
        case leaseLost
        /// The worker stops.
        case stopping
    }

    private let state = LockedValue<Reason?>(nil)

    /// The first reason; `nil` if the task was not cancelled.
    var reason: Reason? { state.withLock { $0 } }

    /// Records a reason if it is the first one. A lost lease replaces every other reason, because the
    /// attempt must not be settled then.
    func record(_ reason: Reason) {
        state.withLock { if $0 == nil || reason == .leaseLost { $0 = reason } }
    }
}
