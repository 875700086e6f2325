import Foundation

/// Repeats a system call that fails with `EINTR`. A read with a time limit does so when the process
/// was stopped and continues, even without a signal handler (signal(7)).
func repeatingInterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}

/// Waits until one of the descriptors has input, a connection to accept, or the end of its stream.
///
/// - Returns: its position; `nil` if there is none after `seconds`.
func firstReadable(of descriptors: [Int32], within seconds: TimeInterval) -> Int? {
    let deadline = Date(timeIntervalSinceNow: seconds)
    var states = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    let ready = repeatingInterrupted {
        let wait = max(0, deadline.timeIntervalSinceNow)
        return poll(&states, nfds_t(states.count), Int32((wait * 1000).rounded(.up)))
    }
    return ready > 0 ? states.firstIndex { $0.revents != 0 } : nil
}

/// Sets the time after which a read or an accept of a socket fails to ``longestWait``.
func limitReads(of descriptor: Int32) {
    setOption(
        SO_RCVTIMEO, at: SOL_SOCKET, to: timeval(tv_sec: Int(longestWait), tv_usec: 0),
        of: descriptor)
}

/// Sets an option of a socket, and ignores that the kind of socket does not have it.
func setOption<Value>(_ name: Int32, at level: Int32, to value: Value, of descriptor: Int32) {
    _ = withUnsafeBytes(of: value) {
        setsockopt(descriptor, level, name, $0.baseAddress, socklen_t($0.count))
    }
}

/// Creates a socket that child processes do not inherit.
func newSocket(_ family: Int32, _ type: __socket_type) -> Int32 {
    socket(family, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
}

/// Calls a function that takes the address of a socket.
///
/// - Parameter call: returns 0, or -1 with the reason in `errno`.
func withSocketAddress<Address>(
    _ address: inout Address, _ call: (UnsafeMutablePointer<sockaddr>, inout socklen_t) -> Int32
) throws {
    var size = socklen_t(MemoryLayout<Address>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
        // SAFETY: each kind of address begins with the layout of sockaddr, and `size` is its size.
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, &size) }
    }
    guard status == 0 else { throw POSIXError.current }
}

extension POSIXError {
    /// The reason why the last system call failed.
    static var current: POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
}

extension sockaddr_in {
    /// A port of the loopback interface; 0 for any free port.
    init(loopbackPort port: UInt16) {
        self.init()
        sin_family = sa_family_t(AF_INET)
        sin_port = port.bigEndian
        sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
    }

    /// Parses `host:port` with a numeric host.
    init(parsing address: String) throws {
        let parts = address.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1]) else { throw POSIXError(.EINVAL) }
        self.init(loopbackPort: port)
        guard inet_pton(AF_INET, String(parts[0]), &sin_addr) == 1 else {
            throw POSIXError(.EADDRNOTAVAIL)
        }
    }

    /// The port in the byte order of the machine.
    var port: Int { Int(in_port_t(bigEndian: sin_port)) }
}

extension sockaddr_un {
    /// - Throws: `ENAMETOOLONG` if the path is longer than an address permits.
    init(path: String) throws {
        self.init()
        sun_family = sa_family_t(AF_UNIX)
        // The path ends with a zero byte.
        guard path.utf8.count < MemoryLayout.size(ofValue: sun_path) else {
            throw POSIXError(.ENAMETOOLONG)
        }
        withUnsafeMutableBytes(of: &sun_path) { $0.copyBytes(from: path.utf8) }
    }
}
