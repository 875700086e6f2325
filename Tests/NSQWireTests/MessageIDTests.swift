import NSQWire
import Testing

@Suite struct `A message ID` {
    @Test(arguments: [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, UInt64.max])
    func `spells its number in 16 lower-case hex digits and reads it back`(number: UInt64) {
        let digits = String(number, radix: 16)
        let id = MessageID(number)
        #expect(id.text == String(repeating: "0", count: 16 - digits.count) + digits)
        #expect(id.number == number)
    }
}
