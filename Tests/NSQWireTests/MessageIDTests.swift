import NSQWire
import Testing

@Suite struct `A message ID` {
    @Test(arguments: [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, UInt64.max])
    func `is written as 16 lower-case hex digits and parsed back`(number: UInt64) {
        let digits = String(number, radix: 16)
        let id = MessageID(number)
        #expect(id.text == String(repeating: "0", count: 16 - digits.count) + digits)
        #expect(id.number == number)
    }
}

@Suite struct `Four hex digits` {
    @Test func `are parsed for every number and rejected otherwise`() {
        for number in 0..<65_536 {
            let digits = UInt32(truncatingIfNeeded: Hex.digits(of: UInt32(number)) >> 32)
            #expect(Hex.lastFour(digits) == number)
        }
        for text in ["00g0", "00F0", " 000", "000\n", "0\u{0}00", "`000"] {
            let digits = Array(text.utf8).withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
            #expect(Hex.lastFour(digits) == nil)
        }
    }
}

@Suite struct `Sixteen bytes from a client` {
    @Test func `are always an ID and are returned unchanged`() {
        let bytes: [UInt8] = [0, 1, 255, 254, 34, 92, 9, 65, 66, 67, 68, 69, 70, 127, 195, 40]
        let id = bytes.withUnsafeBytes { MessageID(readingFrom: $0.baseAddress!) }
        #expect(id.bytes == bytes)
        #expect(id.number == nil)
    }

    @Test(arguments: [
        "0123456789ABCDEF", "0123456789abcdeg", " 123456789abcdef", "................",
    ])
    func `have a number only if they are lower-case hex`(text: String) {
        #expect(messageID(text).number == nil)
        #expect(messageID(text).text == text)
    }

    @Test func `are written in wire order`() {
        var bytes = [UInt8](repeating: 0, count: 17)
        bytes.withUnsafeMutableBytes {
            messageID("0123456789abcdef").write(to: $0.baseAddress! + 1)
        }
        #expect(bytes == [0] + Array("0123456789abcdef".utf8))
    }
}
