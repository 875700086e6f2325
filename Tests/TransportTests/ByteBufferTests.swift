import TestKit
import Testing
import Transport

@Suite struct `A byte buffer` {
    @Test func `returns appended bytes in order for any interleaving of append and consume`() {
        var generator = SeededGenerator()
        let buffer = ByteBuffer()
        var expected: [UInt8] = []
        for _ in 0..<2000 {
            if Int.random(in: 0..<3, using: &generator) > 0 {
                let bytes = randomBytes(Int.random(in: 0...900, using: &generator), by: &generator)
                buffer.append(bytes)
                expected += bytes
            } else {
                let count = Int.random(in: 0...expected.count, using: &generator)
                buffer.consume(count)
                expected.removeFirst(count)
            }
            #expect(buffer.count == expected.count)
        }
        #expect(Array(buffer.bytes) == expected)
        buffer.clear()
        #expect(buffer.isEmpty)
    }
}
