import Transport
import UVLoop

extension System {
    /// The default of `--node-id`, which is computed from the host name as in nsqd.
    static let nodeID = Int(Digest.crc32OfMD5(hostname) % 1024)
}
