import NSQWire
import TestKit
import Testing

/// The recordings `identify-json-accepted`, `identify-json-refused` and `identify-not-json` show
/// which bodies nsqd accepts. These tests check the parsed values.
@Suite struct `The body of IDENTIFY` {
    @Test func `is parsed field by field`() throws {
        var expected = Identify()
        expected.clientID = "one"
        expected.hostname = "host"
        expected.userAgent = "agent/1"
        expected.featureNegotiation = true
        expected.heartbeatInterval = -1
        expected.outputBufferSize = 64
        expected.outputBufferTimeout = 25
        expected.tls = false
        expected.deflate = true
        expected.deflateLevel = 3
        expected.snappy = false
        expected.sampleRate = 99
        expected.messageTimeout = 1_000
        expected.topologyRegion = "north"
        expected.topologyZone = "n1"
        let json = #"""
            {"client_id":"one","hostname":"host","user_agent":"agent/1","feature_negotiation":true,
            "heartbeat_interval":-1,"output_buffer_size":64,"output_buffer_timeout":25,
            "tls_v1":false,"deflate":true,"deflate_level":3,"snappy":false,"sample_rate":99,
            "msg_timeout":1000,"topology_region":"north","topology_zone":"n1"}
            """#
        #expect(try Identify.parse(json) == expected)
        #expect(try Identify.parse(expected.json) == expected)
    }

    @Test(arguments: ["null", " null\n", "{}", "{ }", #"{"long_id":[{"a":[]},{}],"x":1e999}"#])
    func `may be empty`(json: String) throws {
        #expect(try Identify.parse(json) == Identify())
    }

    @Test(arguments: [
        #"{"msg_timeout":2000}"#, #"{"MSG_TIMEOUT":2000}"#, #"{"Msg_Timeout":2000}"#,
        #"{"m\u0073g_timeout":2000}"#, "{\"m\u{17f}g_timeout\":2000}",
        #"{"msg_timeout":1,"msg_timeout":2000}"#, #"{"msg_timeout":1,"MSG_TIMEOUT":2000}"#,
        #"{"MSG_TIMEOUT":1,"msg_timeout":2000}"#, #"{"msg_timeout":2000,"msg_timeout":null}"#,
    ])
    func `is parsed with names in any case, and the last non-null value counts`(json: String)
        throws
    {
        #expect(try Identify.parse(json).messageTimeout == 2_000)
    }

    @Test(
        arguments: [
            (#""""#, ""),
            (#""\u00e9\ud83d\ude00\/\b\f\n\r\t\"\\""#, "é😀/\u{8}\u{c}\n\r\t\"\\"),
            (#""\ud83d""#, "\u{fffd}"),
            (#""\ude00\ud83dx""#, "\u{fffd}\u{fffd}x"),
            (#""\ud83d\u0041""#, "\u{fffd}A"),
            (#""\uD83D\uDE00""#, "😀"),
            ("\"é\u{7f}\u{0}\"", nil),
            (#""\u00""#, nil),
            (#""\u+123""#, nil),
            (#""a"#, nil),
            (#""a\"#, nil),
        ] as [(String, String?)])
    func `may contain JSON escapes in strings`(json: String, text: String?) {
        #expect((try? Identify.parse(#"{"client_id":\#(json)}"#))?.clientID == text)
    }

    @Test func `may contain strings that are not valid UTF-8`() throws {
        let json = Array(#"{"client_id":"a"#.utf8) + [0xff] + Array(#"b"}"#.utf8)
        #expect(try Identify.parse(json).clientID == "a\u{fffd}b")
    }

    @Test(
        arguments: [
            ("0", 0), ("-0", 0), ("-1", -1), ("9223372036854775807", .max),
            ("9223372036854775808", nil), ("1.0", nil), ("1e3", nil), ("01", nil), ("+1", nil),
            ("-", nil), ("", nil), ("0x1", nil), (#""1""#, nil), ("true", nil), ("[1]", nil),
        ] as [(String, Int?)])
    func `may contain only integers without fraction or exponent`(json: String, number: Int?) {
        let body = #"{"heartbeat_interval":\#(json)}"#
        #expect((try? Identify.parse(body))?.heartbeatInterval == number)
    }

    @Test(arguments: [
        "", " ", "{", "}", "{}}", "{} {}", "[]", "1", "true", "nul", "{,}", #"{"a"}"#, #"{"a":}"#,
        #"{"a":1,}"#, #"{"a":1 "b":2}"#, "{a:1}", #"{"a":[1,]}"#, #"{"a":[}"#, #"{"a":[1]]}"#,
        #"{"a":{"b" 1}}"#, #"{"a":.5}"#, #"{"a":1.}"#, #"{"a":1e}"#, #"{"a":-}"#, #"{"a":00}"#,
        "\u{feff}{}", #"{"client_id":1,"client_id":"one"}"#, #"{"sample_rate":2147483648}"#,
        "{}\0", "//\n{}",
    ])
    func `is rejected if it is not such an object`(json: String) {
        let refusal = ProtocolError(.badBody, "IDENTIFY failed to decode JSON body")
        #expect(throws: refusal) { try Identify.parse(json) }
    }

    @Test func `may be nested 10000 levels deep`() throws {
        let open = String(repeating: "[", count: 9_999)
        let shut = String(repeating: "]", count: 9_999)
        #expect(try Identify.parse(#"{"deep":\#(open)\#(shut)}"#) == Identify())
        #expect(throws: ProtocolError.self) { try Identify.parse(#"{"deep":[\#(open)\#(shut)]}"#) }
    }

    @Test func `is parsed back from its written form`() throws {
        var random = SeededGenerator()
        for _ in 0..<500 {
            var identify = Identify()
            identify.clientID = anyText(&random)
            identify.userAgent = Bool.random(using: &random) ? anyText(&random) : nil
            identify.heartbeatInterval = Int.random(in: .min ... .max, using: &random)
            identify.snappy = Bool.random(using: &random)
            let hint = "\(identify), \(random.repetition(of: "IdentifyTests"))"
            #expect(try Identify.parse(identify.json) == identify, "\(hint)")
        }
    }

    @Test func `is parsed or rejected from random bytes without crashing`() {
        var random = SeededGenerator()
        let parts = [
            "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "\\ud83d", "client_id", "snappy", "1",
            "-", ".", "e", "0", "true", "false", "null", " ", "\n", "\"a\"", "\"sample_rate\":",
        ]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...12, using: &random))
                .map { _ in parts.randomElement(using: &random)! }.joined()
            _ = try? Identify.parse("{" + text + "}")
            _ = try? Identify.parse(text)
        }
    }

    private func anyText(_ random: inout SeededGenerator) -> String {
        let scalars: [Unicode.Scalar] = [
            "a", "\"", "\\", "/", "\n", "\r", "\t", "\0", "\u{1f}", "\u{7f}", "é", "<", "&",
            "\u{2028}", "😀", "\u{301}",
        ]
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...8, using: &random) {
            text.append(scalars.randomElement(using: &random)!)
        }
        return String(text)
    }
}

@Suite struct `The response to IDENTIFY` {
    static let answer = IdentifyResponse(
        maxReadyCount: 2_500, version: "1.3.0", maxMessageTimeout: 900_000, messageTimeout: 60_000,
        tls: true, deflateLevel: 6, maxDeflateLevel: 6, sampleRate: 5, outputBufferSize: 16_384,
        outputBufferTimeout: 250, topologyRegion: "<n&s>", topologyZone: "\u{2028}\u{8}")

    @Test func `has nsqd's order of fields and escapes`() {
        #expect(
            String(decoding: Self.answer.json, as: UTF8.self)
                == #"{"max_rdy_count":2500,"version":"1.3.0","max_msg_timeout":900000,"#
                + #""msg_timeout":60000,"tls_v1":true,"deflate":false,"deflate_level":6,"#
                + #""max_deflate_level":6,"snappy":false,"sample_rate":5,"auth_required":false,"#
                + #""output_buffer_size":16384,"output_buffer_timeout":250,"#
                + #""topology_region":"\u003cn\u0026s\u003e","topology_zone":"\u2028\u0008"}"#)
    }

    @Test func `is parsed back from its written form`() {
        #expect(Self.answer.json.withUnsafeBytes { IdentifyResponse(parsing: $0) } == Self.answer)
    }

    @Test func `may lack fields that other releases of nsqd omit`() throws {
        let json = Array(#"{"max_rdy_count":7,"version":"1.0.0","tls_v1":true,"new":[1]}"#.utf8)
        let answer = try #require(json.withUnsafeBytes { IdentifyResponse(parsing: $0) })
        #expect(answer.maxReadyCount == 7)
        #expect(answer.tls)
        #expect(!answer.authRequired)
        #expect(answer.topologyZone == "")
    }

    @Test(arguments: ["OK", "", "{", "null", "[]", #"{"max_rdy_count":"7"}"#])
    func `must be a JSON object with fields of the right types`(text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { IdentifyResponse(parsing: $0) } == nil)
    }
}
