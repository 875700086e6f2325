import Glibc
import Transport

/// What the kernel says of this process and its machine.
enum System {
    /// `nil` where there is no `/proc`.
    static var residentBytes: Int? {
        guard let file = fopen("/proc/self/statm", "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, Int32(line.count), file) != nil else { return nil }
        let fields = String(decoding: line.map(UInt8.init(bitPattern:)), as: UTF8.self)
            .split(separator: " ")
        // The second number counts pages.
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    /// The number of this nsqd unless it is given one: nsqd's way to make one of the host's name.
    static let nodeID = Int(Digest.crc32OfMD5(hostname) % 1024)

    static var hostname: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
