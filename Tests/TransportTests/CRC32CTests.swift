import TestKit
import Testing

@testable import Transport

@Suite struct `A CRC-32C checksum` {
    /// Values from RFC 3720, B.4, and the usual check value.
    static let known: [([UInt8], UInt32)] = [
        ([], 0),
        (Array("123456789".utf8), 0xe306_9283),
        ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
        ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
        (Array(0..<32), 0x46dd_794e),
        ((0..<32).reversed(), 0x113f_db5c),
    ]

    @Test(arguments: known) func `matches published values`(bytes: [UInt8], crc: UInt32) {
        #expect(bytes.withUnsafeBytes { CRC32C.checksum($0) } == crc)
        #expect(bytes.withUnsafeBytes { CRC32C.checksumByTables($0) } == crc)
    }

    @Test func `is the same with the CPU instruction and with tables`() {
        var generator = SeededGenerator()
        let bytes = randomBytes(5000, by: &generator)
        for _ in 0..<200 {
            let start = Int.random(in: 0..<2500, using: &generator)
            let end = Int.random(in: start...5000, using: &generator)
            bytes[start..<end].withUnsafeBytes {
                #expect(
                    CRC32C.checksum($0) == CRC32C.checksumByTables($0),
                    "\(generator.repetition(of: "CRC32CTests"))")
            }
        }
    }

    /// The expected value is the rule of snappy's framing format, calculated by hand for the check
    /// value.
    @Test func `is masked by snappy's rule`() {
        let crc: UInt32 = 0xe306_9283
        let masked = (crc >> 15 | crc << 17) &+ 0xa282_ead8
        #expect(Array("123456789".utf8).withUnsafeBytes { CRC32C.masked($0) } == masked)
    }
}
