import TallyBasics

/// Decides when a process may make calls to a client, so that only one process of several does.
///
/// The lease is a row in the store with an epoch, and it expires by the server's clock. This type
/// does no I/O, and the time is an argument. ``SharedClientPublisher`` drives it: it performs
/// ``nextRequest(at:)`` and reports the response with the time *before* the request.
///
/// No client receives an older total after a newer one, because
/// - a holder starts a call only if the call's deadline is before the end of the lease by its own
///   monotonic clock, which it counts from before the request that renewed the lease;
/// - a new holder that has taken over from one that did not release its lease waits for one
///   deadline, in which the former holder's last call ends;
/// - totals are read from the store only with the current epoch, and only grow there.
struct PublisherLease {
    /// The times of a lease.
    struct Settings: Sendable {
        /// The time until a lease expires that is not renewed.
        var duration = Duration.seconds(9)
        /// The maximum duration of a call.
        var callDeadline = Duration.seconds(3)

        /// The time between renewals.
        var renewal: Duration { duration / 3 }
    }

    /// A request to the store.
    enum Request: Equatable {
        /// Acquire the lease, also from a holder whose last renewal has this number.
        case acquire(deadRenewals: Int?)
        /// Renew the lease of this epoch.
        case renew(epoch: Int)
    }

    private struct Holding {
        let epoch: Int
        var expiresAt: MonotonicInstant
        var renewAt: MonotonicInstant
        let mayCallAt: MonotonicInstant
    }

    /// The last renewal of another holder.
    private struct Observation {
        let renewals: Int
        let since: MonotonicInstant
    }

    private enum State {
        case waiting(until: MonotonicInstant, Observation?)
        case holding(Holding)
    }

    let settings: Settings
    private var state: State
    private var isRequesting = false
    /// Whether a failed request may have acquired the lease, so that the response to the next one
    /// does not show from whom it was taken.
    private var mayHaveTakenOver = false

    init(_ settings: Settings = Settings(), at now: MonotonicInstant) {
        precondition(
            settings.callDeadline < settings.duration / 3 * 2, "a lease is longer than a call")
        self.settings = settings
        state = .waiting(until: now, nil)
    }

    /// The epoch of the lease that is held and not expired; `nil` if there is none.
    func heldEpoch(at now: MonotonicInstant) -> Int? {
        guard case .holding(let holding) = state, now < holding.expiresAt else { return nil }
        return holding.epoch
    }

    /// `true` if a call that starts now ends before the lease, and after the calls of a former
    /// holder.
    func mayCall(at now: MonotonicInstant) -> Bool {
        guard case .holding(let holding) = state else { return false }
        return holding.mayCallAt <= now && now + settings.callDeadline <= holding.expiresAt
    }

    /// The time at which ``nextRequest(at:)`` returns a request or the lease expires; `nil` during
    /// a request of a process without a lease.
    var nextDeadline: MonotonicInstant? {
        switch state {
        case .waiting(let time, _): isRequesting ? nil : time
        case .holding(let holding): isRequesting ? holding.expiresAt : holding.renewAt
        }
    }

    /// The time from which calls may be made, if the lease is held.
    var firstCallAt: MonotonicInstant? {
        guard case .holding(let holding) = state else { return nil }
        return holding.mayCallAt
    }

    /// Returns the request that is due; `nil` if none is, or if one is in progress. A lease that
    /// has expired without a renewal is given up.
    mutating func nextRequest(at now: MonotonicInstant) -> Request? {
        if case .holding(let holding) = state, now >= holding.expiresAt {
            state = .waiting(until: now, nil)
        }
        guard !isRequesting else { return nil }
        switch state {
        case .waiting(let time, let seen):
            guard time <= now else { return nil }
            isRequesting = true
            // The holder has not renewed its lease for longer than the lease by this process's
            // clock, so it is dead even if the server's clock says otherwise.
            let isDead = seen.map { now - $0.since > settings.duration } ?? false
            return .acquire(deadRenewals: isDead ? seen?.renewals : nil)
        case .holding(let holding):
            guard holding.renewAt <= now else { return nil }
            isRequesting = true
            return .renew(epoch: holding.epoch)
        }
    }

    /// Reports that the lease was acquired.
    ///
    /// - Parameters:
    ///   - wasTakenOver: whether the former holder had not released its lease.
    ///   - start: the time before the request.
    mutating func acquired(
        epoch: Int, wasTakenOver: Bool, requestedAt start: MonotonicInstant,
        at now: MonotonicInstant
    ) {
        isRequesting = false
        let mustWait = wasTakenOver || mayHaveTakenOver
        mayHaveTakenOver = false
        state = .holding(
            Holding(
                epoch: epoch, expiresAt: start + settings.duration,
                renewAt: start + settings.renewal,
                mayCallAt: mustWait ? now + settings.callDeadline : now))
    }

    /// Reports that another process holds the lease.
    ///
    /// - Parameter renewals: the number of the holder's last renewal.
    mutating func refused(renewals: Int, at now: MonotonicInstant) {
        isRequesting = false
        mayHaveTakenOver = false
        var seen = Observation(renewals: renewals, since: now)
        if case .waiting(_, let earlier?) = state, earlier.renewals == renewals { seen = earlier }
        state = .waiting(until: now + settings.renewal, seen)
    }

    /// Reports that the lease was renewed.
    mutating func renewed(requestedAt start: MonotonicInstant) {
        isRequesting = false
        guard case .holding(var holding) = state else { return }
        holding.expiresAt = start + settings.duration
        holding.renewAt = start + settings.renewal
        state = .holding(holding)
    }

    /// Reports that another process has acquired the lease.
    mutating func lost(at now: MonotonicInstant) {
        isRequesting = false
        state = .waiting(until: now + settings.renewal, nil)
    }

    /// Reports that a request has failed. It is repeated after a delay; until the lease expires,
    /// calls can still be made.
    mutating func failed(at now: MonotonicInstant, retryAfter delay: Duration) {
        isRequesting = false
        switch state {
        case .waiting(_, let seen):
            mayHaveTakenOver = true
            state = .waiting(until: now + delay, seen)
        case .holding(var holding):
            holding.renewAt = now + delay
            state = .holding(holding)
        }
    }
}
