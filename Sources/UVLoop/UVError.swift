import CLibuv

/// An error of libuv or of a system call, such as “address already in use (EADDRINUSE)”.
package struct UVError: Error, Equatable, CustomStringConvertible {
    /// The error code of libuv: the negated `errno`, or a code that only libuv defines.
    package let code: Int32

    /// Creates an error from a negative libuv code.
    package init(code: Int32) {
        self.code = code
    }

    init(_ code: uv_errno_t) {
        self.init(code: code.rawValue)
    }

    /// The symbol of the code, such as `EADDRINUSE`.
    package var name: String {
        Self.text { uv_err_name_r(code, $0, $1) }
    }

    /// The text of libuv for the code, such as “address already in use”.
    package var message: String {
        Self.text { uv_strerror_r(code, $0, $1) }
    }

    /// The text and the symbol, for logs and users.
    package var description: String {
        "\(message) (\(name))"
    }

    package static let addressInUse = UVError(UV_EADDRINUSE)
    package static let addressFamilyNotSupported = UVError(UV_EAFNOSUPPORT)
    package static let brokenPipe = UVError(UV_EPIPE)
    package static let canceled = UVError(UV_ECANCELED)
    package static let connectionRefused = UVError(UV_ECONNREFUSED)
    package static let connectionReset = UVError(UV_ECONNRESET)

    /// Throws an error if `status`, the result of a libuv call, is negative.
    static func check(_ status: Int32) throws(UVError) {
        if status < 0 { throw UVError(code: status) }
    }

    /// Calls `uv_err_name_r` or `uv_strerror_r`, which write to the caller's memory. `uv_err_name`
    /// and `uv_strerror` leak memory for an unknown code.
    private static func text(
        _ write: (UnsafeMutablePointer<CChar>, Int) -> UnsafeMutablePointer<CChar>?
    ) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            _ = write(buffer.baseAddress!, buffer.count)
            return String(cString: buffer.baseAddress!)
        }
    }
}
