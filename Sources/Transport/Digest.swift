import COpenSSL
import CZlib

/// Checksums that OpenSSL and zlib compute.
package enum Digest {
    /// Returns the CRC-32 of the MD5 of a text. nsqd derives its default worker ID from its host
    /// name with this function.
    ///
    /// - Returns: 0 if the system's OpenSSL does not support MD5.
    package static func crc32OfMD5(_ text: String) -> UInt32 {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        let bytes = Array(text.utf8)
        guard EVP_Digest(bytes, bytes.count, &digest, &count, EVP_md5(), nil) == 1 else { return 0 }
        return UInt32(truncatingIfNeeded: crc32(0, digest, count))
    }
}
