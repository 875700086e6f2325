import CLibuv

/// A TCP connection: bytes in by way of its reader, bytes out by `tryWrite` and `write`.
///
/// Writing goes in two steps. `tryWrite` hands the kernel what it takes at once and costs nothing
/// more; only what it left need be queued with `write`.
package final class Stream: Handle {
    /// Who gets what comes in. Held until the stream has closed.
    package var reader: (any StreamReader)?

    /// The other end, as it was when the connection came about.
    package private(set) var peerAddress: SocketAddress?

    init(on loop: Loop) throws(UVError) {
        try super.init(uv_tcp_t.self, on: loop) { uv_tcp_init($0, $1) }
    }

    package var localAddress: SocketAddress? {
        guard !isClosing else { return nil }
        let tcp = pointer(as: uv_tcp_t.self)
        return NumericAddress(askedOf: { uv_tcp_getsockname(tcp, $0, $1) })?.socketAddress
    }

    /// Sends small writes at once instead of waiting to fill a segment.
    package func noDelay(_ enabled: Bool) {
        guard !isClosing else { return }
        uv_tcp_nodelay(pointer(as: uv_tcp_t.self), enabled ? 1 : 0)
    }

    func connected() {
        let tcp = pointer(as: uv_tcp_t.self)
        peerAddress = NumericAddress(askedOf: { uv_tcp_getpeername(tcp, $0, $1) })?.socketAddress
    }

    override func letGo() {
        reader = nil
    }
}
