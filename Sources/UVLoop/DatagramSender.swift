import CLibuv

/// A UDP socket that sends to one address. A datagram is lost if the socket buffer does not accept
/// it at once.
package final class DatagramSender: Handle {
    /// Creates a socket that is not connected.
    ///
    /// - Throws: `UVError` if the process has no file descriptors left.
    package init(on loop: Loop) throws(UVError) {
        try super.init(uv_udp_t.self, on: loop) { uv_udp_init($0, $1) }
    }

    /// Resolves the host name and connects the UDP socket, so that all later datagrams go to
    /// `address`.
    ///
    /// - Parameter done: runs once, possibly before this method returns, with `nil` on success.
    package func connect(to address: SocketAddress, _ done: @escaping (UVError?) -> Void) {
        let host = address.host.isEmpty ? "127.0.0.1" : address.host
        if let numeric = NumericAddress(host: host, port: address.port) {
            return done(connect(to: numeric))
        }
        let lookup = NameLookup { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let error): done(error)
            case .success(let found): done(found.first.map(connect) ?? UVError(UV_EAI_NONAME))
            }
        }
        do throws(UVError) {
            try lookup.start(SocketAddress(host: host, port: address.port), on: loop)
        } catch {
            done(error)
        }
    }

    private func connect(to address: NumericAddress) -> UVError? {
        guard !isClosing else { return .canceled }
        let status = address.withPointer { uv_udp_connect(pointer(as: uv_udp_t.self), $0) }
        return status < 0 ? UVError(code: status) : nil
    }

    /// Sends one datagram.
    ///
    /// - Returns: `nil` on success; otherwise the error, possibly an ICMP error that an earlier
    ///   datagram caused.
    @discardableResult
    package func send(_ bytes: [UInt8]) -> UVError? {
        guard !isClosing else { return .canceled }
        let status = bytes.withUnsafeBytes { bytes in
            // SAFETY: libuv only reads the memory.
            var buffer = uv_buf_init(
                UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
                    .assumingMemoryBound(to: CChar.self), UInt32(bytes.count))
            return uv_udp_try_send(pointer(as: uv_udp_t.self), &buffer, 1, nil)
        }
        return status < 0 ? UVError(code: status) : nil
    }
}
