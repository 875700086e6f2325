import CLibuv

/// Calls back on the loop when the process gets a signal. It keeps the loop running until closed.
package final class Signal: Handle {
    private var body: (() -> Void)?

    package init(_ number: Int32, on loop: Loop, _ body: @escaping () -> Void) throws(UVError) {
        self.body = body
        try super.init(uv_signal_t.self, on: loop) { uv_signal_init($0, $1) }
        let status = uv_signal_start(
            pointer(as: uv_signal_t.self), { handle, _ in Signal.behind(handle).body?() }, number)
        guard status == 0 else {
            close()
            throw UVError(code: status)
        }
    }

    override func letGo() {
        body = nil
    }
}
