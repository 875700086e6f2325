import Glibc
import Transport

/// Properties of this process and its host.
enum System {
    /// The default of `--node-id`, which is computed from the host name as in nsqd.
    static let nodeID = Int(Digest.crc32OfMD5(hostname) % 1024)

    /// The host name, or `localhost` if the system has none.
    static var hostname: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
