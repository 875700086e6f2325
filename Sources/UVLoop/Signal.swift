import CLibuv

/// Calls a closure on the loop when the process receives a signal. An open `Signal` keeps the loop
/// running.
package final class Signal: Handle {
    private var body: (() -> Void)?

    /// Starts to handle a signal.
    ///
    /// - Parameters:
    ///   - number: the signal's number, such as `SIGTERM`.
    ///   - loop: the loop that runs the closure.
    ///   - body: runs on the loop for each received signal.
    ///
    /// - Throws: `UVError` if the signal cannot be handled, such as SIGKILL.
    package init(_ number: Int32, on loop: Loop, _ body: @escaping () -> Void) throws(UVError) {
        self.body = body
        try super.init(uv_signal_t.self, on: loop) { uv_signal_init($0, $1) }
        let status = uv_signal_start(
            pointer(as: uv_signal_t.self), { handle, _ in Signal.object(of: handle).body?() },
            number)
        guard status == 0 else {
            close()
            throw UVError(code: status)
        }
    }

    override func releaseCallbacks() {
        body = nil
    }
}
