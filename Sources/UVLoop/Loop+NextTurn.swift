import CLibuv

/// What a turn leaves to the next one, so that others are not kept waiting by it.
extension Loop {
    /// Calls `body` once, early in the next turn; from a timer, in this one. The loop does not wait
    /// before it, but looks for I/O between one call and what that leaves.
    ///
    /// A timer of no time is no help here: libuv calls one that is started anew from its own call
    /// again at once, in the same turn (uv__run_timers of 1.44), until it is not.
    package func inNextTurn(_ body: @escaping () -> Void) {
        guard !isClosed else { return }
        leftForNextTurn.append(body)
        uv_idle_start(nextTurn) { Loop.of($0).takeUpWhatWasLeft() }
    }

    private func takeUpWhatWasLeft() {
        let bodies = leftForNextTurn
        leftForNextTurn = []
        for body in bodies { body() }
        if leftForNextTurn.isEmpty { uv_idle_stop(nextTurn) }
    }
}
