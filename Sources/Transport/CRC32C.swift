import CSnappy

/// CRC-32C (Castagnoli), the checksum of snappy frames and of the journal.
///
/// The checksum is computed with the processor's CRC instruction if available, and with tables,
/// eight bytes per step, otherwise. For long inputs, the instruction processes three blocks in
/// parallel.
package enum CRC32C {
    package static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        ~CRC32C.updated(~0, bytes)
    }

    /// A checksum of bytes that arrive in several parts.
    package struct Running {
        private var register = ~UInt32(0)

        /// Creates the checksum of an empty input.
        package init() {}

        /// Adds bytes to the checksum.
        package mutating func update(with bytes: UnsafeRawBufferPointer) {
            register = CRC32C.updated(register, bytes)
        }

        /// The checksum of all bytes added so far.
        package var value: UInt32 { ~register }
    }

    /// Returns the checksum as snappy's framing format stores it: rotated and increased by a
    /// constant. A checksum over data that contains stored checksums is then still effective.
    package static func masked(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let crc = checksum(bytes)
        return (crc >> 15 | crc << 17) &+ 0xa282_ead8
    }

    private static func updated(_ register: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard hasInstruction else { return updatedByTables(register, bytes) }
        let blockBytes = bytes.count / (3 * blockLength) * 3 * blockLength
        let rest = UnsafeRawBufferPointer(rebasing: bytes[blockBytes...])
        let register =
            blockBytes == 0
            ? register
            : updatedByTriples(register, UnsafeRawBufferPointer(rebasing: bytes[..<blockBytes]))
        return processor_crc32c(register, rest.baseAddress, rest.count)
    }

    /// Processes three independent blocks in parallel, which takes little more time than one block.
    private static func updatedByTriples(
        _ register: UInt32, _ bytes: UnsafeRawBufferPointer
    ) -> UInt32 {
        zeroBlockTable.withUnsafeBufferPointer { table in
            var crc = register
            for start in stride(from: 0, to: bytes.count, by: 3 * blockLength) {
                var (second, third) = (UInt32(0), UInt32(0))
                processor_crc32c_thrice(
                    &crc, &second, &third, bytes.baseAddress! + start, blockLength)
                crc = advancedByZeros(advancedByZeros(crc, table) ^ second, table) ^ third
            }
            return crc
        }
    }

    /// Returns the CRC register after a block of zeros. CRC is linear: the register after any block
    /// is this value XOR the register that the block produces when starting from zero.
    private static func advancedByZeros(
        _ register: UInt32, _ table: UnsafeBufferPointer<UInt32>
    ) -> UInt32 {
        table[Int(register & 0xff)] ^ table[0x100 | Int(register >> 8 & 0xff)]
            ^ table[0x200 | Int(register >> 16 & 0xff)] ^ table[0x300 | Int(register >> 24)]
    }

    static func checksumByTables(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        ~updatedByTables(~0, bytes)
    }

    private static func updatedByTables(
        _ register: UInt32, _ bytes: UnsafeRawBufferPointer
    ) -> UInt32 {
        var crc = register
        var offset = 0
        tables.withUnsafeBufferPointer { tables in
            while offset + 8 <= bytes.count {
                let word =
                    UInt64(
                        littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                    ^ UInt64(crc)
                crc = 0
                for index in 0..<8 {
                    crc ^=
                        tables[
                            (7 - index) << 8 | Int(truncatingIfNeeded: word >> (8 * index) & 0xff)]
                }
                offset += 8
            }
            for byte in bytes[offset...] {
                crc = crc >> 8 ^ tables[Int(UInt8(truncatingIfNeeded: crc) ^ byte)]
            }
        }
        return crc
    }

    private static let hasInstruction = processor_has_crc32c() != 0

    private static let blockLength = 512

    /// The result of ``advancedByZeros(_:_:)`` for each of the 256 values of each byte of the
    /// register.
    private static let zeroBlockTable: [UInt32] = {
        let zeros = [UInt8](repeating: 0, count: blockLength)
        return zeros.withUnsafeBytes { zeros in
            (0..<1024).map { updatedByTables(UInt32($0 & 0xff) << (UInt32($0) >> 8 * 8), zeros) }
        }
    }()

    /// Eight tables of 256 entries. Table n contains, for each byte value, the CRC register after
    /// that byte and n zero bytes.
    private static let tables: [UInt32] = {
        var tables = (0..<256).map { byte in
            (0..<8).reduce(UInt32(byte)) { crc, _ in crc >> 1 ^ (crc & 1 == 1 ? 0x82f6_3b78 : 0) }
        }
        for index in 256..<2048 {
            let previous = tables[index - 256]
            tables.append(previous >> 8 ^ tables[Int(previous & 0xff)])
        }
        return tables
    }()
}
