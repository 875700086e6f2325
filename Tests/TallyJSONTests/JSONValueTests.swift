import Testing

@testable import TallyJSON

@Suite struct `The lenient JSON parser` {
    private func parse(_ text: String, keptDepth: Int = 10) throws(JSONError) -> JSONValue {
        try JSONValue(parsingLikeGo: text.utf8, keptDepth: keptDepth)
    }

    @Test func `keeps members in order with duplicates`() throws {
        let value = try parse(#" {"a" : 1, "b":[true,null,"x"], "a":-2.5e+3 } "#)
        #expect(
            value
                == .object([
                    .init(name: "a", value: .number("1")),
                    .init(name: "b", value: .array([.bool(true), .null, .string("x")])),
                    .init(name: "a", value: .number("-2.5e+3")),
                ]))
        #expect(value["a"] == .number("-2.5e+3"))
        #expect(value["c"] == nil)
        #expect(value["b"]?["a"] == nil)
    }

    @Test func `checks but does not keep what is deeper than requested`() throws {
        let value = try parse(#"{"a":[{"b":[]},[[]],{}],"c":1}"#, keptDepth: 1)
        #expect(value["a"] == .skipped)
        #expect(value["c"] == .number("1"))
        #expect(try parse("[]", keptDepth: 0) == .skipped)
        #expect(throws: JSONError.malformed) { try parse(#"{"a":[{"b" 1}]}"#, keptDepth: 1) }
    }

    @Test(arguments: [1, 5])
    func `accepts 10,000 levels and no more`(keptDepth: Int) throws {
        let text = { String(repeating: "[", count: $0) + String(repeating: "]", count: $0) }
        #expect(throws: Never.self) { try parse(text(10_000), keptDepth: keptDepth) }
        #expect(throws: JSONError.tooDeep) { try parse(text(10_001), keptDepth: keptDepth) }
    }

    @Test(arguments: [
        "", " ", "{", "{]", "[1,]", "{\"a\":1,}", "{a:1}", "01", "-", "1.", ".5", "1e", "+1", "nul",
        "truefalse", "1 2", "\"", "\"\n\"", #""\x""#, #""\u12""#, #""\ud800\"#, "\u{feff}1",
    ])
    func `rejects malformed text`(text: String) {
        #expect(throws: JSONError.malformed) { try parse(text) }
    }

    @Test func `replaces bytes that are not UTF-8 and lone surrogates`() throws {
        let bytes = [UInt8(ascii: "\""), 0xff, UInt8(ascii: "\"")]
        #expect(try JSONValue(parsingLikeGo: bytes, keptDepth: 0) == .string("\u{fffd}"))
        #expect(try parse(#""\ud83d\ude00""#) == .string("😀"))
        #expect(try parse(#""\ud83d!""#) == .string("\u{fffd}!"))
        #expect(try parse(#""\ud83d\u0041""#) == .string("\u{fffd}A"))
        #expect(try parse(#""\ude00""#) == .string("\u{fffd}"))
    }

    @Test func `reads a flat object or null`() throws {
        let members = try JSONValue.flatObject(parsingLikeGo: #"{"a":{"b":1}}"#.utf8)
        #expect(members == [.init(name: "a", value: .skipped)])
        #expect(try JSONValue.flatObject(parsingLikeGo: "null".utf8) == nil)
        #expect(throws: JSONError.malformed) { try JSONValue.flatObject(parsingLikeGo: "[]".utf8) }
    }
}

@Suite struct `The strict JSON parser` {
    private func parse(_ text: String, maxDepth: Int = 3) throws(JSONError) -> JSONValue {
        try JSONValue(parsingStrictly: Array(text.utf8), maxDepth: maxDepth)
    }

    @Test func `reports why it rejects a text`() throws {
        #expect(throws: JSONError.malformed) { try parse("{") }
        #expect(throws: JSONError.malformed) { try parse(#""\ud800\"#) }
        #expect(throws: JSONError.duplicateName) { try parse(#"{"a":{"b":1,"\u0062":2}}"#) }
        #expect(throws: JSONError.invalidUTF8) {
            try JSONValue(parsingStrictly: [0xff], maxDepth: 1)
        }
        #expect(throws: JSONError.tooDeep) { try parse("[[[[]]]]") }
        #expect(throws: Never.self) { try parse("[[[1]]]") }
    }

    @Test func `keeps unpaired surrogates apart`() throws {
        let value = try parse(#"["\ud800","x\udfff\ud800\u0041","\ud83d\ude00"]"#)
        #expect(
            value
                == .array([
                    .surrogateString([0xED, 0xA0, 0x80]),
                    .surrogateString([0x78, 0xED, 0xBF, 0xBF, 0xED, 0xA0, 0x80, 0x41]),
                    .string("😀"),
                ]))
        #expect(try parse(#"{"\ud800":1,"\ud801":2}"#)["\u{fffd}"] == nil)
        #expect(throws: JSONError.duplicateName) { try parse(#"{"\ud800":1,"\ud800":2}"#) }
    }

    @Test func `allows two names that only look the same`() throws {
        let value = try parse("{\"\u{e9}\":1,\"e\u{301}\":2}")
        #expect(value["\u{e9}"] == .number("1"))
        #expect(value["e\u{301}"] == .number("2"))
    }
}

@Suite struct `Reading fields from JSON` {
    @Test func `converts values of the right type and leaves fields unchanged for null`() throws {
        var number = 7
        try JSONValue.null.read(into: &number)
        #expect(number == 7)
        try JSONValue.number("-12").read(into: &number)
        #expect(number == -12)
        var list: [String]?
        try JSONValue.array([.string("a")]).read(into: &list)
        #expect(list == ["a"])
    }

    @Test(arguments: ["1.0", "1e3", "9223372036854775808", "-9223372036854775809"])
    func `rejects numbers that are not whole or out of range`(digits: String) {
        #expect(Int(json: .number(digits)) == nil)
    }

    @Test func `rejects values of other types`() {
        #expect(Int(json: .string("1")) == nil)
        #expect(Int32(json: .number("2147483648")) == nil)
        #expect(Bool(json: .number("1")) == nil)
        #expect(String(json: .bool(true)) == nil)
        #expect([Int](json: .array([.number("1"), .null])) == nil)
        #expect([Int](json: .skipped) == nil)
    }

    private enum Field: String {
        case name = "task"
    }

    @Test(arguments: ["task", "TASK", "tAsK", "ta\u{17f}k", "tas\u{212a}"])
    func `finds fields in any case as Go does`(name: String) {
        #expect(Field(jsonName: name) == .name)
    }
}
