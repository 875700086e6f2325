import CSnappy

/// CRC-32C (Castagnoli), the checksum in snappy's frames: by the processor's own instruction where
/// it has one, of much in three stretches at a time, else by tables, eight bytes a step.
package enum CRC32C {
    package static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        ~CRC32C.register(~0, bytes)
    }

    /// The checksum of bytes that come in pieces.
    package struct Running {
        private var register = ~UInt32(0)

        package init() {}

        package mutating func take(_ bytes: UnsafeRawBufferPointer) {
            register = CRC32C.register(register, bytes)
        }

        package var value: UInt32 { ~register }
    }

    /// The checksum as snappy's framing format writes it: rotated and shifted, so that data that
    /// contains checksums of its own does not come out as zero.
    package static func masked(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let crc = checksum(bytes)
        return (crc >> 15 | crc << 17) &+ 0xa282_ead8
    }

    private static func register(_ register: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard hasInstruction else { return registerByTables(register, bytes) }
        let inThrees = bytes.count / (3 * stretch) * 3 * stretch
        let behind = UnsafeRawBufferPointer(rebasing: bytes[inThrees...])
        let register =
            inThrees == 0
            ? register
            : registerInThrees(register, UnsafeRawBufferPointer(rebasing: bytes[..<inThrees]))
        return processor_crc32c(register, behind.baseAddress, behind.count)
    }

    /// Three stretches at a time, which are independent of each other and so nearly as fast as one.
    private static func registerInThrees(
        _ register: UInt32, _ bytes: UnsafeRawBufferPointer
    ) -> UInt32 {
        overZeros.withUnsafeBufferPointer { table in
            var crc = register
            for start in stride(from: 0, to: bytes.count, by: 3 * stretch) {
                var (second, third) = (UInt32(0), UInt32(0))
                processor_crc32c_thrice(
                    &crc, &second, &third, bytes.baseAddress! + start, stretch)
                crc = movedOver(movedOver(crc, table) ^ second, table) ^ third
            }
            return crc
        }
    }

    /// What a register becomes over a stretch of zeros. What it becomes over any other is that, and
    /// what a register of zero becomes over it, put together.
    private static func movedOver(
        _ register: UInt32, _ table: UnsafeBufferPointer<UInt32>
    ) -> UInt32 {
        table[Int(register & 0xff)] ^ table[0x100 | Int(register >> 8 & 0xff)]
            ^ table[0x200 | Int(register >> 16 & 0xff)] ^ table[0x300 | Int(register >> 24)]
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

    private static let stretch = 512

    /// ``movedOver(_:_:)`` of each byte of a register.
    private static let overZeros: [UInt32] = {
        let zeros = [UInt8](repeating: 0, count: stretch)
        return zeros.withUnsafeBytes { zeros in
            (0..<1024).map { registerByTables(UInt32($0 & 0xff) << (UInt32($0) >> 8 * 8), zeros) }
        }
    }()

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
