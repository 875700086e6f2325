import NSQJobs

/// Checks the starts of a simulation against the limits of its queue.
struct LimitChecker {
    /// The limits of a run. While limits change, jobs may have got their slots under a former limit,
    /// so the checker only checks that all jobs end.
    enum Kind: CaseIterable { case none, fixed, changing }

    let kind: Kind
    var whole: JobLimit?
    var perKey: JobLimit?
    private var starts: [(key: String?, time: JobTime)] = []

    init(_ kind: Kind) { self.kind = kind }

    /// Forgets the earlier starts. After the clock was set, it does not tell the time between an
    /// earlier and a later start.
    mutating func clockWasSet() { starts = [] }

    /// Records a start.
    mutating func started(key: String?, at wall: JobTime) throws {
        starts.append((key, wall))
        guard kind == .fixed else { return }
        try check(whole, starts.map(\.time), wall, "the queue")
        guard let key else { return }
        try check(perKey, starts.filter { $0.key == key }.map(\.time), wall, "key \(key)")
    }

    private func check(
        _ limit: JobLimit?, _ starts: [JobTime], _ wall: JobTime, _ noun: String
    ) throws {
        guard let rate = limit?.rate else { return }
        let count = starts.count { $0 + rate.window > wall && $0 <= wall }
        guard count <= rate.starts else {
            throw JobSimulation.Violation(
                description: "\(count) starts of \(noun) within \(rate.window), not \(rate.starts)")
        }
    }

    /// Checks the keys of the jobs that run at the same time.
    func check(running: [JobID: String?]) throws {
        guard kind == .fixed else { return }
        if let most = whole?.maxRunning, running.count > most {
            throw JobSimulation.Violation(
                description: "\(running.count) jobs run at once, not \(most)")
        }
        guard let most = perKey?.maxRunning else { return }
        for key in ["a", "b"] where running.values.count(where: { $0 == key }) > most {
            throw JobSimulation.Violation(description: "more than \(most) jobs of key \(key) run")
        }
    }
}
