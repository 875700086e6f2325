import TestKit
import Testing
import Transport

@Suite struct `A snappy stream` {
    private static let identifier: [UInt8] = [0xff, 6, 0, 0] + Array("sNaPpY".utf8)

    @Test func `is decoded to the sent bytes for any split`() throws {
        var generator = SeededGenerator()
        for _ in 0..<10 {
            let plain = mixedBytes(Int.random(in: 1...400_000, using: &generator), by: &generator)
            let wire = SnappyFrames().encode(plain, by: &generator)
            let again = try SnappyFrames().decode(wire, limit: 1000, by: &generator)
            #expect(again == plain, "\(generator.repetition(of: "SnappyTests"))")
        }
    }

    @Test func `from python-snappy is decoded`() throws {
        var generator = SeededGenerator()
        let plain = try fixture("plays/mixed.jsonl")
        let wire = try fixture("transport/mixed.jsonl.snappy")
        #expect(try SnappyFrames().decode(wire) == plain)
        #expect(try SnappyFrames().decode(wire, by: &generator) == plain)
    }

    @Test func `starts with its identifier once`() throws {
        let stream = SnappyFrames()
        let first = stream.encode([1])
        #expect(first.starts(with: Self.identifier))
        #expect(!stream.encode([2]).starts(with: Self.identifier))
    }

    @Test func `may repeat its identifier and contain skippable chunks`() throws {
        let sender = SnappyFrames()
        let padding: [UInt8] = [0xfe, 0, 0, 2] + [UInt8](repeating: 7, count: 2 << 16)
        let wire =
            sender.encode([1, 2]) + Self.identifier + padding + [0x80, 0, 0, 0] + sender.encode([3])
        var generator = SeededGenerator()
        #expect(try SnappyFrames().decode(wire) == [1, 2, 3])
        #expect(try SnappyFrames().decode(wire, by: &generator) == [1, 2, 3])
    }

    @Test func `contains plain chunks for incompressible data`() throws {
        var generator = SeededGenerator()
        let noise = randomBytes(1000, by: &generator)
        let wire = SnappyFrames().encode(noise)
        #expect(wire[10] == 0x01)
        #expect(wire.count == Self.identifier.count + 8 + 1000)
        #expect(SnappyFrames().encode([UInt8](repeating: 0, count: 1000))[10] == 0x00)
    }

    /// pynsq reads TLS record by record and needs a whole chunk per read.
    @Test func `has no chunk longer than a TLS record`() throws {
        var generator = SeededGenerator()
        let wire = SnappyFrames().encode(randomBytes(200_000, by: &generator))
        var chunks = 0
        var rest = wire.dropFirst(Self.identifier.count)
        while !rest.isEmpty {
            let start = rest.startIndex
            let length = Int(rest[start + 1]) | Int(rest[start + 2]) << 8
            #expect(4 + length <= 16_384)
            rest = rest.dropFirst(4 + length)
            chunks += 1
        }
        #expect(chunks == 13)
    }

    @Test func `is decoded up to the limit per call`() throws {
        let wire = SnappyFrames().encode([UInt8](repeating: 0, count: 10 << 20))
        let plain = ByteBuffer()
        let stream = SnappyFrames()
        try wire.withUnsafeBytes { bytes in
            var bytes = bytes
            var portions = 0
            while try stream.decode(&bytes, into: plain, limit: 100_000) {
                #expect(plain.count < 100_000 + 16_000)
                plain.clear()
                portions += 1
            }
            #expect(portions >= (10 << 20) / 116_000)
        }
    }

    /// The lengths are checked before the data, so the errors show which chunks are too long.
    @Test(
        arguments: [
            ([0x00, 7, 0, 0, 0, 0, 0, 0, 0x80, 0x80, 0x04], "does not decompress"),
            ([0x00, 7, 0, 0, 0, 0, 0, 0, 0x81, 0x80, 0x04], "more than 65536 bytes"),
            ([0x01, 5, 0, 1], "a chunk of 65541 bytes"),
        ] as [([UInt8], String)])
    func `has chunks of at most 65,536 bytes of data`(chunk: [UInt8], error: String) throws {
        let failure = #expect(throws: TransportError.self) {
            try SnappyFrames().decode(Self.identifier + chunk)
        }
        #expect("\(try #require(failure))".contains(error))
    }

    @Test func `may have a plain chunk of 65,536 bytes`() throws {
        let data = [UInt8](repeating: 7, count: 65_536)
        let checksum = data.withUnsafeBytes { CRC32C.masked($0) }
        let bytes = withUnsafeBytes(of: checksum.littleEndian) { Array($0) }
        let chunk = [0x01, 4, 0, 1] + bytes + data
        #expect(try SnappyFrames().decode(Self.identifier + chunk) == data)
    }

    @Test func `with a changed byte is rejected or decoded to the same data`() throws {
        var generator = SeededGenerator()
        let plain = mixedBytes(3000, by: &generator)
        let wire = SnappyFrames().encode(plain)
        for _ in 0..<300 {
            var broken = wire
            let place = Int.random(in: 0..<wire.count, using: &generator)
            broken[place] ^= UInt8.random(in: 1...255, using: &generator)
            guard let seen = try? SnappyFrames().decode(broken) else { continue }
            #expect(
                plain.starts(with: seen),
                "byte \(place); \(generator.repetition(of: "SnappyTests"))")
        }
    }

    @Test(
        arguments: [
            ("no identifier", [0x01, 5, 0, 0, 0, 0, 0, 0, 1]),
            ("another identifier", [0xff, 6, 0, 0] + Array("SnApPy".utf8)),
            ("a long identifier", [0xff, 7, 0, 0] + Array("sNaPpYY".utf8)),
            ("an unknown type", identifier + [0x02, 1, 0, 0, 1]),
            ("a plain chunk above 64 KiB", identifier + [0x01, 5, 0, 1]),
            ("a compressed chunk above any need", identifier + [0x00, 0, 0, 2]),
            ("no room for a checksum", identifier + [0x01, 3, 0, 0, 0, 0, 0]),
            ("a bad checksum", identifier + [0x01, 5, 0, 0, 0, 0, 0, 0, 1]),
            // The header declares 4 GiB.
            ("a bomb", identifier + [0x00, 9, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            ("nonsense", identifier + [0x00, 8, 0, 0, 0, 0, 0, 0, 0x08, 0xff, 0xff, 0xff]),
            ("nothing at all", identifier + [0x00, 4, 0, 0, 0, 0, 0, 0]),
        ] as [(String, [UInt8])])
    func `that is invalid is rejected`(what: String, wire: [UInt8]) {
        #expect(throws: TransportError.self, "\(what)") { try SnappyFrames().decode(wire) }
    }
}
