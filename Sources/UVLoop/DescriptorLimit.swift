import Glibc

/// The limit of open file descriptors of the process, from which the limits of connections are
/// derived.
package enum DescriptorLimit {
    /// The smallest limit with which a broker starts: its loops, listeners and journal need about
    /// half of it.
    package static let minimum = 32

    /// Raises the soft limit, which is usually 1,024, to the hard limit.
    package static func raise() {
        guard var limit = limits, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// The soft limit.
    package static var current: Int {
        Int(clamping: limits?.rlim_cur ?? 1024)
    }

    /// The number of descriptors that a server divides among its clients. The remaining descriptors
    /// are kept for files, the server's own requests, listeners and loops.
    package static var forConnections: Int { max(current / 2, current - 192) }

    private static var limits: rlimit? {
        var limit = rlimit()
        let status = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return status == 0 ? limit : nil
    }
}
