import PlayCounts
import TallyBasics
import TestTraits
import Testing

@Suite(.blocking) struct `A GUID` {
    @Test func `is parsed in either case and written in lower case`() {
        let lower = "1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"
        #expect(GUID(lower)?.text == lower)
        #expect(GUID(lower.uppercased())?.text == lower)
        #expect(GUID(lower) == GUID(lower.uppercased()))
        #expect(GUID("00000000-0000-0000-0000-000000000001") == GUID(high: 0, low: 1))
        #expect(GUID("0123456789ab-cdef".dropFirst()) == nil)
    }

    @Test(arguments: [
        "", "1b4e28ba2fa14d3ba3f5cf1b2c1e9a70", "{1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70}",
        "1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a7", "1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a701",
        "1b4e28ba_2fa1-4d3b-a3f5-cf1b2c1e9a70", "1b4e28b-a2fa1-4d3b-a3f5-cf1b2c1e9a70",
        " 1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a7", "1b4e28bg-2fa1-4d3b-a3f5-cf1b2c1e9a70",
        "1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1é9a7",
    ])
    func `is parsed in one form only`(text: String) {
        #expect(GUID(text) == nil)
    }

    @Test func `accepts exactly the hexadecimal digits at each position`() {
        let text = Array("1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70".utf8)
        for position in text.indices where text[position] != UInt8(ascii: "-") {
            for byte in UInt8.min...UInt8.max {
                var changed = text
                changed[position] = byte
                let isDigit = byte < 0x80 && Character(Unicode.Scalar(byte)).isHexDigit
                let guid = changed.withUnsafeBytes { GUID(text: $0) }
                #expect((guid != nil) == isDigit, "byte \(byte) at \(position)")
                if isDigit {
                    #expect(guid?.text == String(decoding: changed, as: UTF8.self).lowercased())
                }
            }
        }
    }

    @Test(arguments: Seeds.all)
    func `is equal after writing and parsing`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        for _ in 0..<1000 {
            let guid = GUID(high: generator.next(), low: generator.next())
            #expect(GUID(guid.text) == guid, Seeds.comment(seed))
        }
    }
}
