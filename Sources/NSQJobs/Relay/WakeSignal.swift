import UVLoop

/// A signal that wakes one waiting task. If no task waits, the signal is kept, and the next wait
/// returns at once.
final class WakeSignal: Sendable {
    private enum State {
        case idle
        case signalled
        case waiting(CheckedContinuation<Void, Never>)
    }

    private let state = LockedValue(State.idle)

    /// Ends the current wait; without one, the next wait returns at once.
    func signal() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard case .waiting(let waiter) = state else {
                state = .signalled
                return nil
            }
            state = .idle
            return waiter
        }
        waiter?.resume()
    }

    /// Waits for a signal, at most for `duration`, and until the task is cancelled.
    ///
    /// - Precondition: no other task waits.
    func wait(atMost duration: Duration) async {
        let timer = Task {
            try await Task.sleep(for: duration)
            signal()
        }
        await withTaskCancellationHandler {
            await wait()
        } onCancel: {
            signal()
        }
        timer.cancel()
    }

    private func wait() async {
        await withCheckedContinuation { waiter in
            let isSignalled = state.withLock { state -> Bool in
                if case .signalled = state {
                    state = .idle
                    return true
                }
                if case .waiting = state { preconditionFailure("one task waits for a signal") }
                state = .waiting(waiter)
                return false
            }
            if isSignalled { waiter.resume() }
        }
    }
}
