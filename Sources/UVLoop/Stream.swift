import CLibuv

/// A connection, by TCP or over a Unix-domain socket: bytes in by way of its reader, bytes out by
/// `tryWrite` and `write`.
///
/// Writing goes in two steps. `tryWrite` hands the kernel what it takes at once and costs nothing
/// more; only what it left need be queued with `write`.
package final class Stream: Handle {
    /// Who gets what comes in. Held until the stream has closed.
    package var reader: (any StreamReader)?

    /// The other end, as it was when the connection came about; `nil` for one on this machine that
    /// came by a Unix-domain socket.
    package private(set) var peerAddress: SocketAddress?

    /// The turn in which it was last read from, and how much that was.
    var lastRead = (turn: -1, bytes: 0)

    /// It goes over a Unix-domain socket.
    private let isLocal: Bool

    init(on loop: Loop, isLocal: Bool = false) throws(UVError) {
        self.isLocal = isLocal
        if isLocal {
            try super.init(uv_pipe_t.self, on: loop) { uv_pipe_init($0, $1, 0) }
        } else {
            try super.init(uv_tcp_t.self, on: loop) { uv_tcp_init($0, $1) }
        }
    }

    /// Who is at the other end, for logs and statistics; one without an address is `@`, as in Go.
    package var peerName: String {
        peerAddress?.description ?? (isLocal ? "@" : "?")
    }

    package var localAddress: SocketAddress? {
        guard !isClosing, !isLocal else { return nil }
        let tcp = pointer(as: uv_tcp_t.self)
        return NumericAddress(askedOf: { uv_tcp_getsockname(tcp, $0, $1) })?.socketAddress
    }

    /// Sends small writes at once instead of waiting to fill a segment.
    package func noDelay(_ enabled: Bool) {
        guard !isClosing, !isLocal else { return }
        uv_tcp_nodelay(pointer(as: uv_tcp_t.self), enabled ? 1 : 0)
    }

    func connected() {
        guard !isLocal else { return }
        let tcp = pointer(as: uv_tcp_t.self)
        peerAddress = NumericAddress(askedOf: { uv_tcp_getpeername(tcp, $0, $1) })?.socketAddress
    }

    override func letGo() {
        reader = nil
    }
}
