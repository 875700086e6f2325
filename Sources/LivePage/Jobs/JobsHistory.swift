import NSQJobs
import TallyBasics

/// The attempts of each queue in the last two minutes, by second, computed from successive readings
/// of the store's counters. A pure value: no I/O and no clock.
struct JobsHistory: Sendable {
    typealias Timings = [JobTiming.Kind: JobTiming]

    /// One second of the wall clock in which attempts started or ended.
    struct Second: Sendable {
        /// The second, counted from 1970.
        let second: Int64
        /// The attempts of each queue.
        fileprivate(set) var queues: [String: Timings] = [:]

        /// The attempts of all queues.
        var total: Timings { queues.values.reduce(into: [:]) { $0.add($1) } }
    }

    /// The number of seconds in the history.
    static let maxSeconds = 120
    /// The maximum number of queues whose attempts are stored.
    static let maxQueues = 200
    /// The number of seconds over which the rate of a queue is measured.
    static let rateSeconds = 10
    /// A reading at most this long after the start of a second counts for the previous second,
    /// because the page reads the store shortly after each second has ended.
    private static let grace = Duration.milliseconds(200)

    /// The seconds from the oldest to the newest.
    private(set) var seconds: [Second] = []
    /// The attempts in ``seconds``, by queue.
    private(set) var windows: [String: Timings] = [:]
    private var last: [String: Timings]?

    /// The attempts of all queues in ``seconds``.
    var window: Timings { windows.values.reduce(into: [:]) { $0.add($1) } }

    /// Adds the attempts since the previous reading. The first reading adds nothing, because there
    /// is nothing to compare it with.
    mutating func record(_ queues: [QueueSnapshot], at now: JobTime) {
        let second = Int64((now + (.zero - Self.grace)).microseconds / 1_000_000)
        removeSeconds(until: second - Int64(Self.maxSeconds))
        let readings = queues.prefix(Self.maxQueues).map { ($0.counts.queue, $0.timings) }
        defer { last = Dictionary(readings) { first, _ in first } }
        guard let last else { return }
        for (queue, timings) in readings {
            let new = timings.subtracting(last[queue] ?? [:])
            guard !new.isEmpty else { continue }
            add(new, of: queue, to: second)
        }
    }

    /// The number of attempts of a queue that ended per second, over the last ``rateSeconds``.
    func rate(of queue: String, at now: JobTime) -> Double {
        let current = Int64((now + (.zero - Self.grace)).microseconds / 1_000_000)
        let first = current - Int64(Self.rateSeconds) + 1
        let ended = seconds.reversed().prefix { $0.second >= first }
            .reduce(0) { $0 + ($1.queues[queue] ?? [:]).ended.count }
        return Double(ended) / Double(Self.rateSeconds)
    }

    /// Adds attempts to a second. If the wall clock was set back, adds them to the latest second.
    private mutating func add(_ timings: Timings, of queue: String, to second: Int64) {
        if seconds.last.map({ $0.second < second }) ?? true {
            seconds.append(Second(second: second))
        }
        seconds[seconds.count - 1].queues[queue, default: [:]].add(timings)
        windows[queue, default: [:]].add(timings)
    }

    private mutating func removeSeconds(until end: Int64) {
        while let first = seconds.first, first.second <= end {
            seconds.removeFirst()
            for (queue, timings) in first.queues {
                let rest = (windows[queue] ?? [:]).subtracting(timings)
                windows[queue] = rest.isEmpty ? nil : rest
            }
        }
    }
}

extension [JobTiming.Kind: JobTiming] {
    /// The durations of all attempts that ended.
    var ended: JobTiming {
        var ended = self[.completed] ?? JobTiming()
        if let failed = self[.failed] { ended += failed }
        return ended
    }

    fileprivate mutating func add(_ other: Self) {
        for (kind, timing) in other { self[kind, default: JobTiming()] += timing }
    }

    /// Returns the difference from `earlier`, without empty histograms.
    fileprivate func subtracting(_ earlier: Self) -> Self {
        reduce(into: [:]) { rest, entry in
            let timing = earlier[entry.key].map { entry.value.subtracting($0) } ?? entry.value
            if timing.count > 0 { rest[entry.key] = timing }
        }
    }
}
