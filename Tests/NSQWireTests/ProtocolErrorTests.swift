import NSQWire
import Testing

@Suite struct `A protocol error` {
    @Test func `consists of code, space and description`() {
        let error = ProtocolError(.finishFailed, "FIN 0123456789abcdef failed ID not in flight")
        #expect(
            error.description == "E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight")
        #expect(ProtocolError(bare: .badProtocol).description == "E_BAD_PROTOCOL")
    }

    @Test(arguments: ProtocolError.Code.allCases)
    func `is fatal unless FIN, REQ or TOUCH failed`(code: ProtocolError.Code) {
        let isSoft = ["E_FIN_FAILED", "E_REQ_FAILED", "E_TOUCH_FAILED"].contains(code.rawValue)
        #expect(ProtocolError(bare: code).isFatal == !isSoft)
    }
}

/// The expected texts are from Go, see the recording `sub-refused-names-are-quoted`.
@Suite struct `Go's quoting` {
    @Test(arguments: [
        ("", #""""#),
        ("plays", #""plays""#),
        (#"pl"ay\s"#, #""pl\"ay\\s""#),
        ("\u{0}\u{1}\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1b}\u{7f}", #""\x00\x01\a\b\t\n\v\f\r\x1b\x7f""#),
        ("é日😀", #""é日😀""#),
        ("e\u{301}", "\"e\u{301}\""),
        ("\u{80}\u{a0}\u{ad}", #""\u0080\u00a0\u00ad""#),
        ("\u{200b}\u{2028}\u{3000}\u{feff}\u{e000}", #""\u200b\u2028\u3000\ufeff\ue000""#),
        ("\u{e0001}\u{10ffff}", #""\U000e0001\U0010ffff""#),
        ("\u{1ac5}\u{31350}", #""\u1ac5\U00031350""#),  // newer than the Go of nsqd 1.3.0
        ("\u{fffd}", "\"\u{fffd}\""),
        ("\u{1f469}\u{200d}\u{1f680}", "\"\u{1f469}\\u200d\u{1f680}\""),
    ])
    func `keeps printable characters and escapes the rest`(text: String, quoted: String) {
        #expect(Array(text.utf8).withUnsafeBytes { $0.goQuoted } == quoted)
    }

    @Test(
        arguments: [
            ([0xff], #""\xff""#),
            ([0x61, 0xc3], #""a\xc3""#),
            ([0xc3, 0x61], #""\xc3a""#),
            ([0xe2, 0x82], #""\xe2\x82""#),
            ([0xf0, 0x9f, 0x98, 0x61], #""\xf0\x9f\x98a""#),
            ([0xc0, 0x80], #""\xc0\x80""#),
            ([0xed, 0xa0, 0x80], #""\xed\xa0\x80""#),
            ([0xf4, 0x90, 0x80, 0x80], #""\xf4\x90\x80\x80""#),
            ([0x80, 0xc3, 0xa4], #""\x80ä""#),
        ] as [([UInt8], String)])
    func `escapes each byte that is not valid UTF-8`(bytes: [UInt8], quoted: String) {
        #expect(bytes.withUnsafeBytes { $0.goQuoted } == quoted)
    }
}
