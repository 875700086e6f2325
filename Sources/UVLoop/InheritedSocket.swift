import Glibc

/// A listening socket that another process, such as a service manager, has opened for this process.
package struct InheritedSocket: Hashable, Sendable {
    package let descriptor: Int32
    /// The address of the socket.
    package let endpoint: Endpoint

    /// Checks a descriptor and reads its address. The programs that this process starts do not
    /// inherit the descriptor.
    ///
    /// - Returns: `nil` if it is not a listening stream socket of IPv4, IPv6 or the file system.
    package init?(descriptor: Int32) {
        guard Self.option(SO_ACCEPTCONN, of: descriptor) == 1,
            Self.option(SO_TYPE, of: descriptor) == Int32(SOCK_STREAM.rawValue),
            let endpoint = Self.endpoint(of: descriptor)
        else { return nil }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        self.descriptor = descriptor
        self.endpoint = endpoint
    }

    private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0 ? value : nil
    }

    private static func endpoint(of descriptor: Int32) -> Endpoint? {
        let address = NumericAddress { storage, size in
            var count = socklen_t(size.pointee)
            return getsockname(descriptor, storage, &count)
        }
        guard let address else { return nil }
        return address.unixPath.map { .unix(path: $0) } ?? .tcp(address.socketAddress)
    }
}
