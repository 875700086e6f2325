import Testing

@testable import NSQTools

@Suite struct `The JSON filter of nsq_to_nsq` {
    private func decide(
        _ body: String, _ change: (inout JSONFilter) -> Void
    ) -> JSONFilter.Decision {
        var filter = JSONFilter()
        change(&filter)
        return filter.decide(Array(body.utf8))
    }

    private func pass(_ body: String) -> JSONFilter.Decision { .pass(Array(body.utf8)) }

    @Test func `passes any body without conditions`() {
        #expect(decide("\u{1}", { _ in }) == pass("\u{1}"))
    }

    @Test(arguments: [
        (#"{"a":1}"#, true), (#"{"a":null}"#, true), (#"{"A":1}"#, false), ("{}", false),
        ("null", false),
    ])
    func `passes messages with a required field unchanged`(body: String, passes: Bool) {
        #expect(decide(body) { $0.requiredField = "a" } == (passes ? pass(body) : .discard))
    }

    @Test(arguments: [
        (#"{"a":"7"}"#, "7", true), (#"{"a":7}"#, "7", true), (#"{"a":7.0}"#, "7", true),
        (#"{"a":8}"#, "7", false), (#"{"a":"x"}"#, "x", true), (#"{"a":true}"#, "true", false),
        (#"{"a":7}"#, "x", false), (#"{"a":"7.0"}"#, "7", false),
    ])
    func `compares a required value as a text or a number`(
        body: String, value: String, passes: Bool
    ) {
        let decision = decide(body) {
            $0.requiredField = "a"
            $0.requiredValue = value
        }
        #expect(decision == (passes ? pass(body) : .discard))
    }

    @Test func `reports a missing field that must have a value`() {
        let decision = decide("{}") {
            $0.requiredField = "a"
            $0.requiredValue = "7"
        }
        #expect(decision == .missingField)
    }

    @Test(arguments: ["", "x", "[]", "7", #""a""#, "{", #"{"a":1}x"#])
    func `reports a body that is not an object`(body: String) {
        #expect(decide(body) { $0.fields = ["a"] } == .malformed)
    }

    @Test(arguments: [
        (#"{"b":1,"a":"x","c":true}"#, #"{"a":"x","b":1}"#), (#"{"c":1}"#, "{}"), ("null", "{}"),
        (#"{ "a" : 1, "a" : 2 }"#, #"{"a":2}"#),
        (
            #"{"a":{"z":[1,null,{"y":1.5,"x":"\u00e9\n"}],"b":{}}}"#,
            #"{"a":{"b":{},"z":[1,null,{"x":"é\n","y":1.5}]}}"#
        ),
        (#"{"b":12345678901234567890}"#, #"{"b":12345678901234567890}"#),
    ])
    func `keeps the selected fields, sorted by name`(body: String, expected: String) {
        #expect(decide(body) { $0.fields = ["a", "b"] } == pass(expected))
    }

    @Test func `treats a body that is nested too deep as malformed`() {
        func body(_ depth: Int) -> String {
            #"{"a":"# + String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
                + "}"
        }
        #expect(decide(body(499)) { $0.fields = ["a"] } == pass(body(499)))
        #expect(decide(body(500)) { $0.fields = ["a"] } == .malformed)
        #expect(decide(body(20_000)) { $0.fields = ["a"] } == .malformed)
    }
}
