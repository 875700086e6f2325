import CLibuv

/// What libuv says when something fails: “address already in use (EADDRINUSE)”.
package struct UVError: Error, Equatable, CustomStringConvertible {
    package let code: Int32

    package init(code: Int32) {
        self.code = code
    }

    init(_ code: uv_errno_t) {
        self.init(code: code.rawValue)
    }

    /// The code's symbol, `EADDRINUSE`.
    package var name: String {
        Self.text { uv_err_name_r(code, $0, $1) }
    }

    /// The code in words, “address already in use”.
    package var message: String {
        Self.text { uv_strerror_r(code, $0, $1) }
    }

    package var description: String {
        "\(message) (\(name))"
    }

    package static let addressInUse = UVError(UV_EADDRINUSE)
    package static let brokenPipe = UVError(UV_EPIPE)
    package static let canceled = UVError(UV_ECANCELED)
    package static let connectionRefused = UVError(UV_ECONNREFUSED)
    package static let connectionReset = UVError(UV_ECONNRESET)
    package static let timedOut = UVError(UV_ETIMEDOUT)

    /// Turns libuv's status into a thrown error: below zero is failure.
    static func check(_ status: Int32) throws(UVError) {
        if status < 0 { throw UVError(code: status) }
    }

    /// The `_r` functions write into memory of ours; the plain ones leak for an unknown code.
    private static func text(
        _ write: (UnsafeMutablePointer<CChar>, Int) -> UnsafeMutablePointer<CChar>?
    ) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            _ = write(buffer.baseAddress!, buffer.count)
            return String(cString: buffer.baseAddress!)
        }
    }
}
