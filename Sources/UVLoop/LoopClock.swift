import CLibuv
import Glibc
import TallyBasics

extension Timestamp {
    /// The present time on the clocks of the system.
    package static var system: Timestamp {
        Timestamp(
            monotonic: Loop.systemNanoseconds, wall: Loop.systemWallNanoseconds)
    }
}

extension Loop {
    /// The current time on the monotonic clock in nanoseconds, which each call reads again.
    package var nowNanoseconds: Int64 { manualClock?.nowNanoseconds ?? Self.systemNanoseconds }

    /// The current time on the monotonic clock.
    package var instant: MonotonicInstant { MonotonicInstant(nanoseconds: nowNanoseconds) }

    /// The current time on the monotonic clock and on the wall clock.
    package var timestamp: Timestamp {
        Timestamp(monotonic: nowNanoseconds, wall: wallClockNanoseconds)
    }

    /// The wall clock in nanoseconds since 1970. The wall clock may jump.
    package var wallClockNanoseconds: Int64 {
        if let manualClock { return manualClock.wallClockNanoseconds }
        return Self.systemWallNanoseconds
    }

    /// Advances the manual clock by `duration`, and fires each timer that becomes due at its due
    /// time.
    ///
    /// - Precondition: the loop was created with ``Clock/manual``.
    package func advance(by duration: Duration) {
        guard let manualClock else { preconditionFailure("only a manual clock can be advanced") }
        manualClock.advance(by: duration)
    }

    static var systemNanoseconds: Int64 { Int64(uv_hrtime()) }

    static var systemWallNanoseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// A clock that only a test advances, and its pending timers.
final class ManualClock {
    private(set) var nowNanoseconds = Loop.systemNanoseconds
    private var timers: [(dueNanoseconds: Int64, timer: Timer)] = []
    private let wallOffset = Loop.systemWallNanoseconds - Loop.systemNanoseconds

    var wallClockNanoseconds: Int64 { nowNanoseconds + wallOffset }

    func schedule(_ timer: Timer, after delay: Duration) {
        cancel(timer)
        timers.append((nowNanoseconds.addingSaturated(delay.nanosecondsRoundedUp), timer))
    }

    func cancel(_ timer: Timer) {
        timers.removeAll { $0.timer === timer }
    }

    func advance(by duration: Duration) {
        let end = nowNanoseconds.addingSaturated(duration.nanosecondsRoundedUp)
        while let next = timers.indices.min(by: {
            timers[$0].dueNanoseconds < timers[$1].dueNanoseconds
        }),
            timers[next].dueNanoseconds <= end
        {
            let (due, timer) = timers.remove(at: next)
            nowNanoseconds = max(nowNanoseconds, due)
            timer.fire()
        }
        nowNanoseconds = end
    }
}
