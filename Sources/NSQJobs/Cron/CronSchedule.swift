import Foundation
import TallyBasics

/// The rule for ticks (times of a schedule) that passed while no process was running: it selects the
/// ticks whose jobs are enqueued later.
public enum MissedTicks: Int, Hashable, Sendable, Codable {
    /// None. A tick counts as missed if it is more than a minute late.
    case skip = 0
    /// The latest one.
    case latest = 1
    /// All of them.
    case all = 2
}

/// A schedule that enqueues a job at each time of a cron expression.
public struct CronSchedule: Hashable, Sendable {
    /// The name of the schedule: 1 to 200 bytes without control characters.
    public var name: String
    /// The times at which the job is enqueued.
    public var expression: CronExpression
    /// The rule for missed ticks; by default, only the latest one is enqueued later.
    public var missed: MissedTicks
    /// The job. A tick enqueues nothing if the job's unique key is taken, for example because the job
    /// of the previous tick still runs.
    public var job: NewJob
    /// The time of the next tick; `nil` for a schedule that was not stored yet.
    public internal(set) var nextTick: JobTime?

    /// Creates a schedule, which ``Jobs/schedule(_:)`` stores.
    public init(
        name: String, _ expression: CronExpression, missed: MissedTicks = .latest, job: NewJob
    ) {
        self.name = name
        self.expression = expression
        self.missed = missed
        self.job = job
    }

    /// Creates a schedule for a job of a type.
    ///
    /// - Throws: ``JobsError/Code/invalidArguments`` if the job cannot be encoded.
    public init(
        name: String, _ expression: CronExpression, missed: MissedTicks = .latest, job: some Job
    ) throws(JobsError) {
        self.init(name: name, expression, missed: missed, job: try NewJob(job))
    }

    /// The delay from which a tick counts as missed.
    package static let tolerance = Duration.seconds(60)

    /// Returns the ticks that are to be enqueued now, and the tick after them.
    ///
    /// - Parameters:
    ///   - tick: the first tick that was not handled.
    ///   - limit: the maximum number of ticks. Further due ticks remain for the next call.
    package func dueTicks(
        from tick: JobTime, to now: JobTime, limit: Int
    ) -> (ticks: [JobTime], next: JobTime?) {
        guard tick <= now else { return ([], tick) }
        var ticks: [JobTime] = []
        var next: JobTime? = missed == .all ? tick : firstTick(from: tick, to: now)
        while let current = next, current <= now, ticks.count < limit {
            if missed == .latest { ticks = [] }
            ticks.append(current)
            next = expression.next(after: current)
        }
        return (ticks, next)
    }

    /// Returns the first tick that can be enqueued, without computing all ticks that were missed.
    private func firstTick(from tick: JobTime, to now: JobTime) -> JobTime? {
        let spans: [Duration] = [
            Self.tolerance, .seconds(3_600), .seconds(86_400), .seconds(32 * 86_400),
            .seconds(367 * 86_400),
        ]
        var found: JobTime?
        for span in missed == .skip ? spans.prefix(1) : spans[...] {
            let start = now - span
            guard start > tick else { return tick }
            found = expression.next(after: start)
            if let found, found <= now { return found }
        }
        return missed == .skip ? found : tick
    }
}

extension JobTime {
    /// Returns the time `duration` earlier. The result saturates instead of overflowing.
    static func - (time: JobTime, duration: Duration) -> JobTime {
        JobTime(
            microseconds: time.microseconds.subtractingSaturated(
                duration.microsecondsRoundedUp))
    }
}
