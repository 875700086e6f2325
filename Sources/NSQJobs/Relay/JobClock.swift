import Foundation
import TallyBasics

/// The wall clock of jobs, which a test can replace.
package struct JobClock: Sendable {
    /// Returns the time.
    package let now: @Sendable () -> JobTime

    package init(_ now: @escaping @Sendable () -> JobTime) {
        self.now = now
    }

    /// The clock of the system.
    package static let system = JobClock {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return JobTime(
            microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}
