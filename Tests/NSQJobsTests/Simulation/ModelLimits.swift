import NSQJobs

/// The limits of the only queue of ``ModelJobStore``, and what the store has recorded for them.
struct ModelLimits {
    var whole: JobLimit?
    var perKey: JobLimit?
    private var starts: [LimitScope: [JobTime]] = [:]
    private var wakeUps: [LimitScope: JobTime] = [:]
    private var unsettled: [LimitScope] = []
    /// The time of the latest change.
    private(set) var now = JobTime(microseconds: 0)

    var nextWakeUp: JobTime? { wakeUps.values.min() }

    mutating func mustSettle(_ scope: LimitScope, at now: JobTime) {
        self.now = now
        if !unsettled.contains(scope) { unsettled.append(scope) }
    }

    mutating func nextUnsettled() -> LimitScope? {
        guard !unsettled.isEmpty else { return nil }
        return unsettled.remove(at: unsettled.firstIndex { $0.key != nil } ?? 0)
    }

    mutating func wake(at now: JobTime) {
        let due = wakeUps.filter { $0.value <= now }.keys
        for scope in due.sorted(by: { $0.key ?? "" < $1.key ?? "" }) { mustSettle(scope, at: now) }
    }

    mutating func setWakeUp(_ time: JobTime?, of scope: LimitScope) { wakeUps[scope] = time }

    /// Records a transition of a job.
    mutating func record(
        _ old: JobLifecycle, _ new: JobLifecycle, key: String?, at now: JobTime
    ) {
        for scope in LimitScope.all(queue: 1, key: key) {
            let isStart = new.state == .running && old.state != .running
            if isStart { starts[scope, default: []].append(now) }
            let isFreed = old.slot(in: scope) != .none && new.slot(in: scope) == .none
            if isStart || isFreed || (new.hold == scope.hold && old.hold != scope.hold) {
                mustSettle(scope, at: now)
            }
        }
    }

    mutating func start(ofRank rank: Int, in scope: LimitScope, at now: JobTime) -> JobTime? {
        let all = starts[scope, default: []].map { min($0, now) }
        starts[scope] = all
        return all.count >= rank ? all[all.count - rank] : nil
    }
}
