import TestKit
import Testing
import Transport

@Suite struct `A deflate stream` {
    @Test(arguments: 1...9)
    func `is decoded to the sent bytes at every level and for any split`(level: Int) throws {
        var generator = SeededGenerator()
        for _ in 0..<3 {
            let plain = mixedBytes(Int.random(in: 1...400_000, using: &generator), by: &generator)
            let wire = Deflate(level: level).encode(plain, by: &generator)
            let again = try Deflate(level: 1).decode(wire, limit: 1000, by: &generator)
            #expect(again == plain, "\(generator.repetition(of: "DeflateTests"))")
        }
    }

    @Test func `from Python's zlib is decoded`() throws {
        var generator = SeededGenerator()
        let plain = try fixture("plays/mixed.jsonl")
        let wire = try fixture("transport/mixed.jsonl.deflate")
        #expect(try Deflate(level: 6).decode(wire) == plain)
        #expect(try Deflate(level: 6).decode(wire, by: &generator) == plain)
    }

    @Test func `is raw, and ends each flush with an empty stored block`() throws {
        let stream = Deflate(level: 6)
        let wire = stream.encode(Array("OK".utf8))
        #expect(wire.suffix(4) == [0, 0, 0xff, 0xff])
        // The stream starts with a block header: final flag (bit 0), type fixed codes (bits 1, 2).
        #expect(wire.first.map { $0 & 0b111 } == 0b010)
        #expect(stream.encode([]).isEmpty, "nothing said, nothing to flush")
    }

    @Test func `is decoded up to the limit per call`() throws {
        let wire = Deflate(level: 9).encode([UInt8](repeating: 0, count: 20 << 20))
        #expect(wire.count < 40_000)
        let plain = ByteBuffer()
        let stream = Deflate(level: 6)
        var total = 0
        try wire.withUnsafeBytes { bytes in
            var bytes = bytes
            var hasMore = true
            while hasMore {
                hasMore = try stream.decode(&bytes, into: plain, limit: 65_536)
                #expect(plain.count <= 65_536)
                total += plain.count
                plain.clear()
            }
        }
        #expect(total == 20 << 20)
    }

    @Test func `may end, and later bytes are ignored`() throws {
        let stream = Deflate(level: 6)
        // An empty final block with fixed codes, followed by other bytes.
        #expect(try stream.decode([0x03, 0x00, 0x55, 0x55]).isEmpty)
        #expect(stream.hasEnded)
        #expect(try stream.decode([0x55]).isEmpty)
    }

    @Test func `that is invalid is rejected`() {
        // A block of the reserved type.
        #expect(throws: TransportError.self) { try Deflate(level: 6).decode([0x07, 0, 0]) }
        // A zlib header is not valid raw deflate.
        #expect(throws: TransportError.self) {
            try Deflate(level: 6).decode([0x78, 0x9c, 0x01, 0x02, 0x03, 0x04])
        }
    }

    @Test func `of random bytes is rejected or decoded without crashing`() {
        var generator = SeededGenerator()
        for _ in 0..<500 {
            let noise = randomBytes(Int.random(in: 1...2000, using: &generator), by: &generator)
            _ = try? Deflate(level: 6).decode(noise)
        }
    }
}
