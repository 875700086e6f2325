import CLibuv
import TallyBasics

/// Calls a closure after a delay: never early, and at most about a millisecond late if the loop is
/// idle.
package final class Timer: Handle {
    private var body: (() -> Void)?
    private var interval: Duration?

    /// Creates a timer that is not started.
    package init(on loop: Loop) {
        do throws(UVError) {
            try super.init(uv_timer_t.self, on: loop) { uv_timer_init($0, $1) }
        } catch {
            preconditionFailure("uv_timer_init cannot fail: \(error)")
        }
    }

    /// Starts the timer, or restarts it with other values. A started timer keeps the loop running.
    ///
    /// - Parameters:
    ///   - delay: the time until the first call.
    ///   - interval: the time between further calls; by default there are none.
    ///   - body: the closure to call.
    package func start(
        after delay: Duration, repeating interval: Duration? = nil, _ body: @escaping () -> Void
    ) {
        guard !isClosing else { return }
        self.body = body
        self.interval = interval
        schedule(after: delay)
    }

    /// Stops the timer and releases its closure. The timer can be started again.
    package func stop() {
        guard !isClosing else { return }
        loop.manualClock?.cancel(self)
        uv_timer_stop(pointer(as: uv_timer_t.self))
        releaseCallbacks()
    }

    override func willClose() {
        loop.manualClock?.cancel(self)
    }

    override func releaseCallbacks() {
        body = nil
        interval = nil
    }

    private func schedule(after delay: Duration) {
        let milliseconds = delay > .zero ? millisecondsForLibuv(delay) : 0
        uv_timer_start(
            pointer(as: uv_timer_t.self), { Timer.object(of: $0).fire() }, milliseconds, 0)
    }

    /// Converts a delay to milliseconds for libuv.
    ///
    /// libuv adds the delay to the loop's time, which it rounds down to whole milliseconds. This
    /// method therefore rounds the due time up to a whole millisecond, so that the timer is never
    /// early.
    private func millisecondsForLibuv(_ delay: Duration) -> UInt64 {
        if let clock = loop.manualClock {
            // The libuv timer only keeps the loop running; the manual clock fires this timer.
            clock.schedule(self, after: delay)
            return UInt64(Int64.max / 2)
        }
        uv_update_time(loop.memory)
        let due = UInt64(loop.nowNanoseconds) + UInt64(delay.nanosecondsRoundedUp)
        return (due + 999_999) / 1_000_000 - uv_now(loop.memory)
    }

    func fire() {
        let body = body
        if let interval {
            schedule(after: interval)
        } else {
            uv_timer_stop(pointer(as: uv_timer_t.self))
            releaseCallbacks()
        }
        body?()
    }
}
