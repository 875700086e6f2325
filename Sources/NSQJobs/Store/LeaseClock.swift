import Glibc
import TallyBasics

/// The clock of leases.
///
/// All processes of a machine share it, it never jumps, and it continues while the machine is
/// suspended. It starts again with the machine; ``bootID`` then changes, and all leases have ended.
package struct LeaseClock: Sendable {
    /// Identifies the latest start of the machine. It changes when the machine starts again.
    package let bootID: String
    /// Returns the time since the start of the machine.
    package let now: @Sendable () -> MonotonicInstant

    package init(bootID: String, now: @escaping @Sendable () -> MonotonicInstant) {
        self.bootID = bootID
        self.now = now
    }

    /// The clock of this machine.
    ///
    /// - SeeAlso: clock_gettime(2), `CLOCK_BOOTTIME`; random(4).
    package static let system = LeaseClock(bootID: readBootID()) {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return MonotonicInstant(
            nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    private static func readBootID() -> String {
        let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "unknown" }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = max(0, read(file, &bytes, bytes.count))
        return String(decoding: bytes[..<count].prefix { $0 != 0x0a }, as: UTF8.self)
    }
}
