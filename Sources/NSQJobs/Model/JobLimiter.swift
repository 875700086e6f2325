/// The rules of ``JobLimit``, applied to the jobs and limits of a store.
///
/// A job gets a slot of the limit of its key first, and then one of the limit of its queue. It has both
/// while it runs. A job that waits for its queue keeps the slot of its key, so each slot that becomes free
/// goes to one waiting job, and nothing is polled.
///
/// - Invariant: after ``settle(_:limit:at:)``, a scope has a free slot only if no job waits for it.
package protocol JobLimiter: AnyObject {
    /// The limit of a scope; `nil` for none.
    func limit(of scope: LimitScope) throws -> JobLimit?
    /// The jobs with a slot of a scope.
    func use(of scope: LimitScope) throws -> LimitUse
    /// The time of a start in a scope by its rank, where 1 is the latest start; `nil` if there were
    /// fewer starts.
    func start(ofRank rank: Int, in scope: LimitScope, at now: JobTime) throws -> JobTime?
    /// The first job by priority and ID that waits for the limit of a scope.
    func firstWaiting(in scope: LimitScope) throws -> JobID?
    /// Makes a waiting job available, with a slot of each limit.
    func admit(_ id: JobID, at now: JobTime) throws
    /// Makes a job that waits for the limit of its key wait for the limit of its queue.
    func waitForQueue(_ id: JobID, at now: JobTime) throws
    /// Stores the time at which the next slot of a scope is free; `nil` for none.
    func setWakeUp(_ time: JobTime?, of scope: LimitScope) throws
}

/// The decision about an available job that a worker claims.
package enum LimitDecision: Hashable, Sendable {
    case start
    /// The job waits for the limit of a scope, at least until a time if that is known.
    case wait(LimitScope, until: JobTime?)
}

extension JobLimiter {
    /// Decides whether an available job without a slot may start.
    package func decision(
        queue: Int64, key: String?, at now: JobTime
    ) throws -> LimitDecision {
        for scope in LimitScope.all(queue: queue, key: key) {
            switch try availability(scope, at: now) {
            case .full(let until): return .wait(scope, until: until)
            case .free:
                // A slot that became free by the passing of time belongs to the jobs that already wait.
                if try firstWaiting(in: scope) != nil { return .wait(scope, until: nil) }
            }
        }
        return .start
    }

    private func availability(_ scope: LimitScope, at now: JobTime) throws -> JobLimit.Availability
    {
        guard let limit = try limit(of: scope) else { return .free }
        return try limit.availability(try use(of: scope), at: now) {
            try start(ofRank: $0, in: scope, at: now)
        }
    }

    /// Gives the free slots of a scope to the jobs that wait for it, and stores when the next one is free.
    ///
    /// - Parameter limit: the maximum number of slots. If there are more, the wake-up is due at once.
    package func settle(_ scope: LimitScope, limit: Int, at now: JobTime) throws {
        var wakeUp: JobTime?
        for count in 0... {
            guard let id = try firstWaiting(in: scope) else { break }
            if case .full(let until) = try availability(scope, at: now) {
                wakeUp = until
                break
            }
            guard count < limit else {
                wakeUp = now
                break
            }
            try giveSlot(of: scope, to: id, at: now)
        }
        try setWakeUp(wakeUp, of: scope)
    }

    private func giveSlot(of scope: LimitScope, to id: JobID, at now: JobTime) throws {
        guard scope.key != nil else { return try admit(id, at: now) }
        let queue = LimitScope(queue: scope.queue, key: nil)
        if try availability(queue, at: now) == .free, try firstWaiting(in: queue) == nil {
            try admit(id, at: now)
        } else {
            try waitForQueue(id, at: now)
        }
    }
}

extension LimitScope {
    /// The scopes of a job, in the order in which it gets their slots.
    package static func all(queue: Int64, key: String?) -> [LimitScope] {
        let whole = LimitScope(queue: queue, key: nil)
        return key == nil ? [whole] : [LimitScope(queue: queue, key: key), whole]
    }
}
