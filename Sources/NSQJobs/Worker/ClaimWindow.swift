import TallyBasics

/// Computes the maximum number of jobs that a worker has claimed at a time; a pure value without
/// I/O and clock.
///
/// A worker of long jobs claims one for each free slot, so that no job waits in a busy worker while
/// another worker is idle. A worker of short jobs claims in advance as many jobs as it performs within
/// ``lead``, so that one transaction claims many jobs.
package struct ClaimWindow: Sendable {
    /// The time in which the worker performs the jobs that it claims ahead.
    package static let lead = Duration.milliseconds(20)
    /// The maximum number of jobs that are claimed ahead.
    package static let maxAhead = 1_024

    private let concurrency: Int
    /// The moving average of an attempt's duration in nanoseconds; `nil` before the first attempt has
    /// ended.
    private var average: Double?
    private var endedSinceCheck = 0

    /// Creates a window without a measured duration.
    package init(concurrency: Int) {
        self.concurrency = concurrency
    }

    /// The maximum number of claimed jobs.
    package var limit: Int { concurrency + ahead }

    /// `true` if jobs are claimed ahead.
    package var isAhead: Bool { ahead > 0 }

    private var ahead: Int {
        guard let average else { return 0 }
        let count = Double(Self.lead.nanoseconds) / max(average, 1) * Double(concurrency)
        // Below this number, jobs take so long that claiming them one by one costs little in
        // comparison.
        guard count >= Double(2 * concurrency) else { return 0 }
        // The result is a power of two, so that small changes of the average do not change the
        // limit.
        let bounded = Int(min(count, Double(Self.maxAhead)))
        return 1 << (Int.bitWidth - 1 - bounded.leadingZeroBitCount)
    }

    /// Records the duration of an attempt.
    package mutating func attemptEnded(after duration: Duration) {
        let value = Double(max(0, duration.nanoseconds))
        average = average.map { $0 + (value - $0) / 8 } ?? value
        endedSinceCheck += 1
    }

    /// Checks at an interval whether attempts have ended. If attempts are running and none has ended
    /// since the previous check, the average rises.
    ///
    /// - Parameter interval: the time since the previous check.
    package mutating func check(active: Int, interval: Duration) {
        if endedSinceCheck == 0, active > 0 {
            average = max(average ?? 0, Double(interval.nanoseconds))
        }
        endedSinceCheck = 0
    }
}
