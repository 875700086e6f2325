import CLibuv
import Glibc

/// An IPv4 or IPv6 address in the kernel's format.
struct NumericAddress {
    private var storage = sockaddr_storage()

    /// Converts a numeric host.
    ///
    /// - Returns: `nil` if the host is a name, which needs a ``NameLookup``.
    init?(host: String, port: Int) {
        let storage = UnsafeMutablePointer<sockaddr_storage>.allocate(capacity: 1)
        defer { storage.deallocate() }
        storage.initialize(to: sockaddr_storage())
        let raw = UnsafeMutableRawPointer(storage)
        // SAFETY: sockaddr_storage is large enough for both types.
        guard
            uv_ip4_addr(host, Int32(port), raw.assumingMemoryBound(to: sockaddr_in.self)) == 0
                || uv_ip6_addr(host, Int32(port), raw.assumingMemoryBound(to: sockaddr_in6.self))
                    == 0
        else { return nil }
        self.storage = storage.pointee
    }

    init(copying address: UnsafePointer<sockaddr>, count: Int) {
        withUnsafeMutableBytes(of: &storage) { bytes in
            bytes.copyMemory(from: UnsafeRawBufferPointer(start: address, count: count))
        }
    }

    /// Reads a socket's address with `getsockname` or `getpeername`.
    ///
    /// - Returns: `nil` when the system call fails.
    init?(
        readBy query: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<Int32>) -> Int32
    ) {
        var count = Int32(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) { storage in
            // SAFETY: every type that fits in a sockaddr_storage begins with a sockaddr.
            query(UnsafeMutableRawPointer(storage).assumingMemoryBound(to: sockaddr.self), &count)
        }
        guard status == 0 else { return nil }
    }

    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>) -> Result) -> Result {
        withUnsafePointer(to: storage) { storage in
            // SAFETY: every type that fits in a sockaddr_storage begins with a sockaddr.
            body(UnsafeRawPointer(storage).assumingMemoryBound(to: sockaddr.self))
        }
    }

    var isIPv4: Bool { Int32(storage.ss_family) == AF_INET }

    /// The path of a Unix-domain socket, empty if it has none; `nil` for an IP address.
    var unixPath: String? {
        guard Int32(storage.ss_family) == AF_UNIX else { return nil }
        return withUnsafeBytes(of: storage) { bytes in
            let path = bytes[MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!...]
            return String(decoding: path.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// The address as text. As in Go, the IPv6-mapped address of an IPv4 client is converted to IPv4.
    var socketAddress: SocketAddress {
        let address = unmappedAddress
        let prefix = "::ffff:"
        guard address.host.hasPrefix(prefix), address.host.contains(".") else { return address }
        return SocketAddress(
            host: String(address.host.dropFirst(prefix.count)), port: address.port)
    }

    private var unmappedAddress: SocketAddress {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            withUnsafeBytes(of: storage) { bytes in
                if Int32(storage.ss_family) == AF_INET6 {
                    var address = bytes.load(as: sockaddr_in6.self)
                    uv_ip6_name(&address, text.baseAddress!, text.count)
                    return SocketAddress(
                        host: String(cString: text.baseAddress!),
                        port: Int(UInt16(bigEndian: address.sin6_port)))
                }
                var address = bytes.load(as: sockaddr_in.self)
                uv_ip4_name(&address, text.baseAddress!, text.count)
                return SocketAddress(
                    host: String(cString: text.baseAddress!),
                    port: Int(UInt16(bigEndian: address.sin_port)))
            }
        }
    }
}

/// Resolves a host name on libuv's thread pool, because `getaddrinfo` blocks.
final class NameLookup {
    private let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
    private var done: ((Result<[NumericAddress], UVError>) -> Void)?

    init(_ done: @escaping (Result<[NumericAddress], UVError>) -> Void) {
        self.done = done
        request.initialize(to: uv_getaddrinfo_t())
    }

    deinit {
        request.deallocate()
    }

    func start(_ address: SocketAddress, on loop: Loop) throws(UVError) {
        // SAFETY: the callback balances this retain; if uv_getaddrinfo fails, the release below
        // does.
        let context = Unmanaged.passRetained(self)
        request.pointee.data = context.toOpaque()
        var hints = Self.hints
        let status = uv_getaddrinfo(
            loop.memory, request,
            { request, status, found in
                // SAFETY: takeRetainedValue balances the retain in `start`; libuv calls this
                // callback exactly once.
                let lookup = Unmanaged<NameLookup>.fromOpaque(request!.pointee.data)
                    .takeRetainedValue()
                lookup.finish(status: status, found)
            }, address.host, String(address.port), &hints)
        if status < 0 {
            context.release()
            throw UVError(code: status)
        }
    }

    /// Ends the lookup without calling `done`. The request itself may continue in the thread pool.
    func cancel() {
        done = nil
        uv_cancel(UnsafeMutableRawPointer(request).assumingMemoryBound(to: uv_req_t.self))
    }

    /// Resolves a host name and blocks the calling thread until the result is available. Only
    /// listeners use this method, during start-up.
    static func blockingResult(
        for address: SocketAddress, on loop: Loop
    ) throws(UVError) -> [NumericAddress] {
        let lookup = NameLookup { _ in }
        var hints = Self.hints
        let status = uv_getaddrinfo(
            loop.memory, lookup.request, nil, address.host, String(address.port), &hints)
        try UVError.check(status)
        return addresses(in: lookup.request.pointee.addrinfo)
    }

    private static var hints: addrinfo {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        return hints
    }

    private func finish(status: Int32, _ found: UnsafeMutablePointer<addrinfo>?) {
        let addresses = Self.addresses(in: found)
        done?(status < 0 ? .failure(UVError(code: status)) : .success(addresses))
        done = nil
    }

    private static func addresses(in list: UnsafeMutablePointer<addrinfo>?) -> [NumericAddress] {
        defer { uv_freeaddrinfo(list) }
        var addresses: [NumericAddress] = []
        var next = list
        while let entry = next {
            addresses.append(
                NumericAddress(
                    copying: entry.pointee.ai_addr, count: Int(entry.pointee.ai_addrlen)))
            next = entry.pointee.ai_next
        }
        return addresses
    }
}
