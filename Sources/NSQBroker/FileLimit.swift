import Glibc

/// How many file descriptors the process may have, and so how many connections.
package enum FileLimit {
    /// Raises the limit as far as the process may by itself; systems start programs with 1,024.
    package static func raise() {
        guard var limit = limits, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    package static var current: Int {
        Int(clamping: limits?.rlim_cur ?? 1024)
    }

    private static var limits: rlimit? {
        var limit = rlimit()
        let status = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return status == 0 ? limit : nil
    }
}
