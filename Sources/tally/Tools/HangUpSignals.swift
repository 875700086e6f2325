import Glibc
import UVLoop

/// Calls a closure for each SIGHUP. Without it, SIGHUP ends the process.
struct HangUpSignals: Sendable {
    private let thread: LoopThread

    /// Starts to handle the signal.
    ///
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    init(_ handle: @escaping @Sendable () -> Void) throws(UVError) {
        thread = try LoopThread(name: "hang-up signals")
        thread.mailbox.submit { loop in
            // Without a handler the signal keeps its default action.
            _ = try? UVLoop.Signal(SIGHUP, on: loop) { handle() }
        }
    }

    /// Stops handling the signal.
    func stop() async {
        thread.stop()
        await thread.join()
    }
}
