import TallyJSON
import Testing

@Suite struct `The JSON writer` {
    @Test func `writes members and elements in the order of the calls`() {
        let json = JSONWriter.object { json in
            json.member("b", 1)
            json.member("a", ["x", "y"])
            json.name("list")
            json.array(0..<2) { json, number in json.object { $0.member("n", number) } }
            json.name("none")
            json.null()
            json.member("flag", true)
        }
        #expect(
            String(decoding: json, as: UTF8.self)
                == #"{"b":1,"a":["x","y"],"list":[{"n":0},{"n":1}],"none":null,"flag":true}"#)
    }

    @Test func `writes whole numbers without a decimal point`() {
        #expect(JSONWriter.value(2.0) == Array("2".utf8))
        #expect(JSONWriter.value(2.5) == Array("2.5".utf8))
        #expect(JSONWriter.value(Int.min) == Array("-9223372036854775808".utf8))
    }

    @Test(arguments: [
        ("plain é", #""plain é""#), (#"a"b\c"#, #""a\"b\\c""#), ("\n\r\t", #""\n\r\t""#),
        ("\0\u{1f}\u{7f}", "\"\\u0000\\u001f\u{7f}\""), ("<>&", #""\u003c\u003e\u0026""#),
        ("\u{2028}\u{2029}", #""\u2028\u2029""#),
    ])
    func `escapes strings as Go does`(text: String, json: String) {
        #expect(String(decoding: JSONWriter.value(text), as: UTF8.self) == json)
    }

    @Test func `writes strings that the parsers read back`() throws {
        let text = String(String.UnicodeScalarView((0..<0x3000).compactMap(Unicode.Scalar.init)))
        let json = JSONWriter.value(text)
        #expect(try JSONValue(parsingLikeGo: json, keptDepth: 0) == .string(text))
        #expect(try JSONValue(parsingStrictly: json, maxDepth: 0) == .string(text))
    }
}
