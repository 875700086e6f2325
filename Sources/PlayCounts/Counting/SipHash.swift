/// SipHash-2-4 with 128 bits of output, a keyed hash by Aumasson and Bernstein.
///
/// The standard library's `Hasher` cannot be used, because the hashes are stored, and the key of
/// `Hasher` differs in each process. An attacker who does not know the key cannot choose inputs
/// with equal hashes.
struct SipHash {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64
    private var byteCount = 0

    init(key: (UInt64, UInt64)) {
        v0 = key.0 ^ 0x736f_6d65_7073_6575
        v1 = key.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee
        v2 = key.0 ^ 0x6c79_6765_6e65_7261
        v3 = key.1 ^ 0x7465_6462_7974_6573
    }

    /// Appends the eight bytes of `word` in little-endian order.
    mutating func append(_ word: UInt64) {
        byteCount += 8
        compress(word)
    }

    private mutating func compress(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    /// Appends the last bytes of the input and returns the hash.
    consuming func finish(
        with bytes: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) -> (low: UInt64, high: UInt64) {
        let wholeWords = bytes.count & ~7
        for start in stride(from: 0, to: wholeWords, by: 8) {
            append(
                UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)))
        }
        var last = UInt64(UInt8(truncatingIfNeeded: byteCount + bytes.count - wholeWords)) << 56
        for (index, byte) in bytes[wholeWords...].enumerated() {
            last |= UInt64(byte) << (8 * index)
        }
        compress(last)
        v2 ^= 0xee
        for _ in 0..<4 { round() }
        let low = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xdd
        for _ in 0..<4 { round() }
        return (low, v0 ^ v1 ^ v2 ^ v3)
    }

    private mutating func round() {
        v0 &+= v1
        v1 = v1 << 13 | v1 >> 51
        v1 ^= v0
        v0 = v0 << 32 | v0 >> 32
        v2 &+= v3
        v3 = v3 << 16 | v3 >> 48
        v3 ^= v2
        v0 &+= v3
        v3 = v3 << 21 | v3 >> 43
        v3 ^= v0
        v2 &+= v1
        v1 = v1 << 17 | v1 >> 47
        v1 ^= v2
        v2 = v2 << 32 | v2 >> 32
    }
}
