import UVLoop

/// Reports the progress of the process to the service manager, at half of the interval after which
/// the manager would restart the process.
final class Watchdog: Sendable {
    /// Runs a report on the thread whose progress is watched.
    let submit = LockedValue<@Sendable (_ report: @escaping @Sendable () -> Void) -> Void>({ $0() })

    private let isStarted = LockedValue(false)

    /// Starts the reports if the service manager watches the process. Further calls do nothing.
    ///
    /// - Parameter thread: the thread on which the timer runs.
    func start(on thread: LoopThread) {
        guard let timeout = ServiceManager.current.watchdogTimeout else { return }
        let isFirst = isStarted.withLock { isStarted in
            defer { isStarted = true }
            return !isStarted
        }
        guard isFirst else { return }
        thread.mailbox.submit { [self] loop in
            // The interval has a minimum, because more frequent reports would only cost time.
            let interval = max(timeout / 2, .milliseconds(10))
            Timer(on: loop).start(after: .zero, repeating: interval) { [self] in
                let submit = submit.withLock { $0 }
                submit { ServiceManager.current.notifyAlive() }
            }
        }
    }
}
