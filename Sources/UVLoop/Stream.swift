import CLibuv

/// A connection over TCP or a Unix-domain socket.
///
/// The stream passes received bytes to its ``reader``. A ``StreamWriter`` sends bytes.
package final class Stream: Handle {
    /// Receives the bytes of the stream, which retains the reader until the stream has closed.
    package var reader: (any StreamReader)?

    /// The peer's address when the connection was established; `nil` for a Unix-domain socket.
    package private(set) var peerAddress: SocketAddress?

    /// The last loop iteration in which the stream read, and the number of bytes read in it.
    var lastRead = (iteration: -1, bytes: 0)

    private let isUnixSocket: Bool

    init(on loop: Loop, isUnixSocket: Bool = false) throws(UVError) {
        self.isUnixSocket = isUnixSocket
        if isUnixSocket {
            try super.init(uv_pipe_t.self, on: loop) { uv_pipe_init($0, $1, 0) }
        } else {
            try super.init(uv_tcp_t.self, on: loop) { uv_tcp_init($0, $1) }
        }
    }

    /// The peer's address for logs and statistics; `@`, as in Go, for a Unix-domain socket.
    package var peerName: String {
        peerAddress?.description ?? (isUnixSocket ? "@" : "?")
    }

    /// The stream's own address; `nil` for a Unix-domain socket.
    package var localAddress: SocketAddress? {
        guard !isClosing, !isUnixSocket else { return nil }
        let tcp = pointer(as: uv_tcp_t.self)
        return NumericAddress(readBy: { uv_tcp_getsockname(tcp, $0, $1) })?.socketAddress
    }

    /// Sets the socket option `TCP_NODELAY`.
    ///
    /// - Parameter isEnabled: whether the kernel sends small writes at once instead of delaying
    ///   them to fill a TCP segment.
    package func setNoDelay(_ isEnabled: Bool) {
        guard !isClosing, !isUnixSocket else { return }
        uv_tcp_nodelay(pointer(as: uv_tcp_t.self), isEnabled ? 1 : 0)
    }

    func readPeerAddress() {
        guard !isUnixSocket else { return }
        let tcp = pointer(as: uv_tcp_t.self)
        peerAddress = NumericAddress(readBy: { uv_tcp_getpeername(tcp, $0, $1) })?.socketAddress
    }

    override func releaseCallbacks() {
        reader = nil
    }
}
