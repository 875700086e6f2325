import CLibuv

/// A UDP socket that only sends, to one address. What the kernel does not take at once is lost, as
/// datagrams are.
package final class DatagramSender: Handle {
    /// - Throws: if no socket is to be had.
    package init(on loop: Loop) throws(UVError) {
        try super.init(uv_udp_t.self, on: loop) { uv_udp_init($0, $1) }
    }

    /// Sends all that comes later to `address`, whose name is looked up first.
    ///
    /// - Parameter done: called once, perhaps at once, with `nil` if there is such an address.
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

    /// - Returns: what went wrong; somebody who was not there for an earlier one, for example.
    @discardableResult
    package func send(_ bytes: [UInt8]) -> UVError? {
        guard !isClosing else { return .canceled }
        let status = bytes.withUnsafeBytes { bytes in
            // SAFETY: libuv only reads.
            var buffer = uv_buf_init(
                UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
                    .assumingMemoryBound(to: CChar.self), UInt32(bytes.count))
            return uv_udp_try_send(pointer(as: uv_udp_t.self), &buffer, 1, nil)
        }
        return status < 0 ? UVError(code: status) : nil
    }
}
