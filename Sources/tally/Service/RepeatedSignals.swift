import Glibc
import UVLoop

/// Calls a closure for each signal with one number, such as SIGHUP. The signal then no longer has its
/// default action, which may end the process.
struct RepeatedSignals: Sendable {
    private let thread: LoopThread

    /// Starts to handle the signal. When this method returns, the default action is replaced.
    ///
    /// - Parameter number: the number of the signal.
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    static func watch(
        _ number: Int32, _ handle: @escaping @Sendable () -> Void
    ) async throws -> RepeatedSignals {
        let thread = try LoopThread(name: "signal \(number)")
        do {
            try await withCheckedThrowingContinuation { isWatching in
                thread.mailbox.submit { loop in
                    isWatching.resume(
                        with: Result { _ = try UVLoop.Signal(number, on: loop) { handle() } })
                }
            }
        } catch {
            thread.stop()
            await thread.join()
            throw error
        }
        return RepeatedSignals(thread: thread)
    }

    /// Stops handling the signal.
    func stop() async {
        thread.stop()
        await thread.join()
    }
}
