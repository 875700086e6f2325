import CLibuv

/// Calls back after a time, never before it, and at most a millisecond or so later.
package final class Timer: Handle {
    private var body: (() -> Void)?
    private var interval: Duration?

    package init(on loop: Loop) {
        do throws(UVError) {
            try super.init(uv_timer_t.self, on: loop) { uv_timer_init($0, $1) }
        } catch {
            preconditionFailure("uv_timer_init cannot fail: \(error)")
        }
    }

    /// Starts the timer, or starts it anew with other times. It keeps the loop running meanwhile.
    package func start(
        after delay: Duration, repeating interval: Duration? = nil, _ body: @escaping () -> Void
    ) {
        guard !isClosing else { return }
        self.body = body
        self.interval = interval
        arm(after: delay)
    }

    package func stop() {
        guard !isClosing else { return }
        uv_timer_stop(pointer(as: uv_timer_t.self))
        letGo()
    }

    override func letGo() {
        body = nil
        interval = nil
    }

    /// libuv counts whole milliseconds from the loop's idea of now, which is some way behind and
    /// rounded down. Asked for the first whole millisecond at or after the due time, it cannot be
    /// early.
    private func arm(after delay: Duration) {
        uv_update_time(loop.memory)
        var milliseconds: UInt64 = 0
        if delay > .zero {
            let due = UInt64(loop.nowNanoseconds) &+ delay.wholeNanoseconds
            milliseconds = (due + 999_999) / 1_000_000 - uv_now(loop.memory)
        }
        uv_timer_start(pointer(as: uv_timer_t.self), { Timer.behind($0).fire() }, milliseconds, 0)
    }

    private func fire() {
        let body = body
        if let interval {
            arm(after: interval)
        } else {
            letGo()
        }
        body?()
    }
}

extension Duration {
    /// Rounded up; at most some 146 years, so that a far-off time can be added to any clock.
    fileprivate var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds < Int64.max / 2_000_000_000 else { return UInt64(Int64.max / 2) }
        return UInt64(seconds) * 1_000_000_000 + UInt64((attoseconds + 999_999_999) / 1_000_000_000)
    }
}
