import CSnappy

/// CRC-32C (Castagnoli), the checksum in snappy's frames: by the processor's own instruction where
/// it has one, else by tables, eight bytes a step.
package enum CRC32C {
    package static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        hasInstruction
            ? ~processor_crc32c(~0, bytes.baseAddress, bytes.count) : checksumByTables(bytes)
    }

    /// The checksum of bytes that come in pieces.
    package struct Running {
        private var register = ~UInt32(0)

        package init() {}

        package mutating func take(_ bytes: UnsafeRawBufferPointer) {
            register =
                hasInstruction
                ? processor_crc32c(register, bytes.baseAddress, bytes.count)
                : CRC32C.registerByTables(register, bytes)
        }

        package var value: UInt32 { ~register }
    }

    /// The checksum as snappy's framing format writes it: rotated and shifted, so that data that
    /// contains checksums of its own does not come out as zero.
    package static func masked(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let crc = checksum(bytes)
        return (crc >> 15 | crc << 17) &+ 0xa282_ead8
    }

    static func checksumByTables(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        ~registerByTables(~0, bytes)
    }

    private static func registerByTables(
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
                for place in 0..<8 {
                    crc ^=
                        tables[
                            (7 - place) << 8 | Int(truncatingIfNeeded: word >> (8 * place) & 0xff)]
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

    /// Eight tables of 256 in one: table n tells what a byte does n bytes further on.
    private static let tables: [UInt32] = {
        var tables = (0..<256).map { byte in
            (0..<8).reduce(UInt32(byte)) { crc, _ in crc >> 1 ^ (crc & 1 == 1 ? 0x82f6_3b78 : 0) }
        }
        for index in 256..<2048 {
            let before = tables[index - 256]
            tables.append(before >> 8 ^ tables[Int(before & 0xff)])
        }
        return tables
    }()
}
