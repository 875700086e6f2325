import TallyBasics

/// Decides when the relay sweeps the store; a pure value without I/O and clock.
///
/// The relay sweeps at once after a commit in this process, when a job is due, and while a sweep finds
/// more than its limit. It also sweeps at an interval, for the commits of other processes, for expired
/// leases and for lost messages. After failures, the relay waits longer.
package struct RelaySchedule: Sendable {
    private let interval: Duration
    private var backoff: Backoff
    /// The end of the wait after the latest sweep; `nil` before the first sweep, and if more work is
    /// known.
    private var nextSweep: MonotonicInstant?
    private var isRetryPending = false
    private var nextDue: JobTime?
    /// `true` if a further sweep must start. A running sweep does not see jobs that are stored after
    /// its transaction.
    private var isRequested = false
    /// The earliest due time that was recorded since the start of the latest sweep.
    private var dueSinceStart: JobTime?
    /// `true` if jobs wait because the publish window is full.
    private var isWindowFull = false
    private var claimsSinceSweep = 0
    private let claimsPerSweep: Int

    /// Creates a schedule whose first sweep is due at once.
    ///
    /// - Parameters:
    ///   - interval: the maximum time between two sweeps.
    ///   - window: the maximum number of published jobs of a topic.
    ///   - seed: the seed of the jitter after failures.
    package init(interval: Duration, window: Int, seed: UInt64) {
        self.interval = interval
        claimsPerSweep = max(1, window / 4)
        backoff = Backoff(from: .milliseconds(100), upTo: .seconds(5), jitterSeed: seed)
    }

    /// Records that new jobs were stored, which the relay must publish.
    ///
    /// - Parameter due: the earliest due time of the stored jobs; `nil` if jobs are available already.
    package mutating func jobsStored(due: JobTime?) {
        if let due {
            nextDue = min(nextDue ?? due, due)
            dueSinceStart = min(dueSinceStart ?? due, due)
        } else {
            isRequested = true
        }
    }

    /// Records that workers of this process have claimed jobs, so that the publish window has space for
    /// further jobs.
    package mutating func jobsClaimed(_ count: Int) {
        guard isWindowFull else { return }
        claimsSinceSweep += count
        if claimsSinceSweep >= claimsPerSweep { isRequested = true }
    }

    /// Records that an nsqd can be reached again. If the latest sweep has failed, a sweep is due at
    /// once.
    package mutating func connectionEstablished() {
        guard isRetryPending else { return }
        isRetryPending = false
        isRequested = true
        backoff.reset()
    }

    /// Records the start of a sweep.
    package mutating func sweepStarted() {
        isRequested = false
        dueSinceStart = nil
        claimsSinceSweep = 0
    }

    /// Records the end of a sweep and its publishes.
    package mutating func sweepEnded(_ result: SweepResult, at instant: MonotonicInstant) {
        backoff.reset()
        isRetryPending = false
        isWindowFull = result.isWindowFull
        nextDue = [result.nextDue, dueSinceStart].compactMap { $0 }.min()
        nextSweep = result.hasMore ? nil : instant + interval
    }

    /// Records that a sweep, or the publish of its jobs, has failed.
    ///
    /// - Returns: the time until the next attempt.
    @discardableResult
    package mutating func sweepFailed(at instant: MonotonicInstant) -> Duration {
        let delay = backoff.nextDelay()
        isRetryPending = true
        nextSweep = instant + delay
        return delay
    }

    /// Returns the time until the next sweep; zero if it is due.
    package func delay(at instant: MonotonicInstant, _ now: JobTime) -> Duration {
        guard let nextSweep else { return .zero }
        guard !isRetryPending else { return max(nextSweep - instant, .zero) }
        guard !isRequested else { return .zero }
        let untilDue = nextDue.map { $0 - now } ?? .seconds(Int64.max)
        return max(min(nextSweep - instant, untilDue), .zero)
    }
}

/// The result of a sweep of the store.
package struct SweepResult: Sendable {
    /// The jobs that the relay must publish.
    package var publications: [ReservedJob] = []
    /// `true` if a further sweep will find more work.
    package var hasMore = false
    /// `true` if jobs wait because the publish window is full.
    package var isWindowFull = false
    /// The earliest time at which a job is due; `nil` if there is none.
    package var nextDue: JobTime?
    package var expiredLeases = 0

    package init() {}
}
