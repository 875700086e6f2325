import NSQJobs

/// The jobs that the demo stores.
struct DemoJobPlan {
    /// The number of jobs in the store after the run, without those of the schedule.
    static let total = 20_000
    /// The queues whose jobs this process performs from the start.
    static let queues = ["mail", "reports", "thumbnails"]
    /// The queue of the worker process that is killed.
    static let killedQueue = "killed"
    /// The number of enqueues with each unique key.
    static let enqueuesPerKey = 10
    /// The delays of delayed jobs.
    static let delays: ClosedRange<Int> = 2...4

    /// The number of jobs of each kind. All other jobs are plain.
    private static let counts: [DemoJob.Kind: Int] = [
        .delayed: 2_000, .failsTwice: 500, .failsAlways: 200, .unique: 100, .transactional: 200,
        .killed: 8,
    ]

    /// The schedule is stored as if this many minutes had passed since then without a process that
    /// enqueues its ticks.
    static let missedMinutes = 10
    /// The number in the arguments of all jobs of the schedule.
    static let tickNumber = 1_000_000_000

    /// Creates a schedule with a tick in each minute, for which all missed ticks are enqueued
    /// later.
    static func schedule() throws(JobsError) -> CronSchedule {
        var options = JobOptions(queue: queues[0])
        options.tags = ["tick"]
        return CronSchedule(
            name: "demo", try CronExpression("* * * * *"), missed: .all,
            job: try NewJob(DemoJob(kind: .tick, number: tickNumber), options: options))
    }

    /// The number of jobs that a transaction stores before it is rolled back.
    static let rolledBackCount = 200

    /// Returns how many jobs of a kind the store has after the run.
    static func count(of kind: DemoJob.Kind) -> Int {
        switch kind {
        case .plain: total - counts.values.reduce(0, +)
        case .rolledBack: 0
        default: counts[kind] ?? 0
        }
    }

    /// Creates the jobs of a kind. The numbers of each kind begin at another multiple of a million,
    /// so that all numbers are unique.
    ///
    /// - Parameter now: the time from which delays count.
    static func jobs(of kind: DemoJob.Kind, at now: JobTime) throws(JobsError) -> [NewJob] {
        let first = (DemoJob.Kind.allCases.firstIndex(of: kind) ?? 0) * 1_000_000
        let count = kind == .rolledBack ? rolledBackCount : count(of: kind)
        var jobs: [NewJob] = []
        jobs.reserveCapacity(count)
        for index in 0..<count {
            var new = try NewJob(
                DemoJob(kind: kind, number: first + index), options: options(of: kind, index))
            switch kind {
            case .delayed:
                let delay = delays.lowerBound + index % delays.count
                new.dueAt = now + .seconds(delay)
            case .unique: new.uniqueKey = "key-\(index)"
            default: break
            }
            jobs.append(new)
        }
        return jobs
    }

    private static func options(of kind: DemoJob.Kind, _ index: Int) -> JobOptions {
        var options = JobOptions(queue: queues[index % queues.count])
        options.retry.firstDelay = .milliseconds(100)
        switch kind {
        case .plain:
            // Each queue has jobs of all priorities. Jobs of low priority are enqueued first, so
            // that others have to overtake them.
            let third = count(of: .plain) / 3
            options.priority = index < third ? .low : index < 2 * third ? .normal : .high
        case .failsAlways: options.retry.maxAttempts = DemoJob.attempts
        case .killed: options.queue = killedQueue
        default: break
        }
        return options
    }
}
