import CLibuv

/// A listening TCP socket.
package final class Listener: Handle {
    /// Where it listens, with the port the kernel chose if 0 was asked for.
    package private(set) var address: SocketAddress

    private var onConnection: ((Stream) -> Void)?

    /// - Throws: `EADDRINUSE` and the like, or what looking the host up failed with.
    package init(
        on loop: Loop, host: String, port: Int, backlog: Int = 1024,
        onConnection: @escaping (Stream) -> Void
    ) throws(UVError) {
        address = SocketAddress(host: host.isEmpty ? "0.0.0.0" : host, port: port)
        self.onConnection = onConnection
        try super.init(uv_tcp_t.self, on: loop) { uv_tcp_init($0, $1) }
        do throws(UVError) {
            try listen(backlog: backlog)
        } catch {
            close()
            throw error
        }
    }

    private func listen(backlog: Int) throws(UVError) {
        var numeric = NumericAddress(host: address.host, port: address.port)
        if numeric == nil {
            numeric = try NameLookup.wait(for: address, on: loop).first
        }
        guard let numeric else { throw UVError(UV_EADDRNOTAVAIL) }
        let tcp = pointer(as: uv_tcp_t.self)
        // libuv keeps EADDRINUSE of bind to itself until listen.
        try UVError.check(numeric.withPointer { uv_tcp_bind(tcp, $0, 0) })
        try UVError.check(
            uv_listen(pointer(as: uv_stream_t.self), Int32(backlog)) { handle, status in
                // A status below zero (no file descriptors left) is libuv's to get over: it has
                // turned that caller away and goes on listening.
                if status == 0 { Listener.behind(handle).accept() }
            })
        if let bound = NumericAddress(askedOf: { uv_tcp_getsockname(tcp, $0, $1) }) {
            address = bound.socketAddress
        }
    }

    override func letGo() {
        onConnection = nil
    }

    private func accept() {
        guard let onConnection, let stream = try? Stream(on: loop) else { return }
        let status = uv_accept(
            pointer(as: uv_stream_t.self), stream.pointer(as: uv_stream_t.self))
        guard status == 0 else { return stream.close() }
        stream.connected()
        onConnection(stream)
    }
}
