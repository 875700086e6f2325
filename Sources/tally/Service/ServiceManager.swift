import Glibc
import UVLoop

/// The service manager that has started this process, such as systemd.
///
/// The process reports its state by datagrams to the socket that the environment variable
/// `NOTIFY_SOCKET` names. If the variable is not set, nothing is sent.
///
/// - SeeAlso: sd_notify(3), sd_watchdog_enabled(3).
struct ServiceManager: Sendable {
    /// The service manager restarts a process that has not reported progress for this time; `nil`
    /// if it does not watch the process.
    let watchdogTimeout: Duration?
    private let socketPath: String?

    /// The service manager of this process, read from the environment once.
    static let current: ServiceManager = {
        let manager = ServiceManager(
            environment: { name in getenv(name).map { String(cString: $0) } },
            processID: getpid())
        // The variables are removed, because programs that this process starts must not report in
        // its place.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] { unsetenv(name) }
        return manager
    }()

    init(environment: (String) -> String?, processID: pid_t) {
        socketPath = environment("NOTIFY_SOCKET").flatMap { $0.isEmpty ? nil : $0 }
        let isWatched = environment("WATCHDOG_PID").map { $0 == "\(processID)" } ?? true
        let microseconds = environment("WATCHDOG_USEC").flatMap { Int64($0) } ?? 0
        watchdogTimeout =
            isWatched && socketPath != nil && (1...Self.longestTimeout).contains(microseconds)
            ? .microseconds(microseconds) : nil
    }

    /// The longest valid timeout, a year, in microseconds. A longer one is ignored.
    private static let longestTimeout: Int64 = 365 * 86_400 * 1_000_000

    /// Reports that the start, or a reload of files, is complete.
    func notifyReady() { send("READY=1") }

    /// Reports that the shutdown has begun.
    func notifyStopping() { send("STOPPING=1") }

    /// Reports that files are being read again. ``notifyReady()`` must follow.
    func notifyReloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        send("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1_000)")
    }

    /// Reports that the process makes progress.
    func notifyAlive() { send("WATCHDOG=1") }

    private func send(_ state: String) {
        guard let socketPath, var address = UnixAddress(path: socketPath) else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // The datagram is sent without blocking, because a broker must not wait for the manager. If
        // the manager's queue is full, the datagram is lost.
        _ = address.withPointer { pointer, size in
            state.withCString { text in
                sendto(
                    descriptor, text, strlen(text),
                    Int32(MSG_NOSIGNAL | MSG_DONTWAIT), pointer, size)
            }
        }
    }
}

/// The address of a Unix-domain socket: a path, or `@` followed by a name in the abstract
/// namespace.
private struct UnixAddress {
    private var address = sockaddr_un()
    private let size: socklen_t

    /// - Returns: `nil` if the path is too long or relative.
    init?(path: String) {
        let bytes = Array(path.utf8)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < capacity, bytes.first == 0x2f || bytes.first == 0x40 else { return nil }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let isAbstract = bytes.first == 0x40
        if isAbstract { address.sun_path.0 = 0 }
        let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
        size = socklen_t(start + bytes.count + (isAbstract ? 0 : 1))
    }

    mutating func withPointer<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafePointer(to: &address) { pointer in
            // SAFETY: every address of a socket begins with a `sockaddr`.
            body(UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self), size)
        }
    }
}
