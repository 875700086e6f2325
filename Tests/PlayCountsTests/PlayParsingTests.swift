import Foundation
import PlayCounts
import TallyBasics
import TestTraits
import Testing

@Suite(.blocking) struct `A message` {
    static let guid = "1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"
    static let video = VideoID(guid)!
    static let digits = String(repeating: "9", count: 1000)

    @Test(arguments: [
        #"{"video_id":"\#(guid)"}"#,
        #" { "video_id" : "\#(guid)" } "#,
        #"{"video_id":"\#(guid.uppercased())"}"#,
        #"{"at":1700000000,"video_id":"\#(guid)","hd":true,"ad":null,"user":"u-7 \/ é"}"#,
        #"{"video_id":"\#(guid)","where":{"country":["de",{"zip":"10115"}]},"speed":-1.5e-3}"#,
        #"{"video\u005fid":"\#(guid)"}"#,
        #"{"video_id":"1b4e28b\u0061-2fa1-4d3b-a3f5-cf1b2c1e9a70"}"#,
        #"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"video_id":"\#(guid)"}"#,
        #"{"Video_ID":1,"video_id":"\#(guid)","play_id":7}"#,
        #"{"video_id":"\#(guid)","face":"\uD83D\uDE00"}"#,
        #"{"video_id":"\#(guid)","face":"\uD83D"}"#,
        #"{"video_id":"\#(guid)","face":["\uDE00\uD83D",{"\ud83d\u0041":"\ud83d\n"}]}"#,
        #"{"video_id":"\#(guid)","\ud800":1,"\ud801":2}"#,
        #"{"video_id":"\#(guid)","nul":"\u0000","huge":-1.0E+999999,"long":\#(digits)}"#,
        #"{"video_id":"\#(guid)","":"\u2028\b\f","a.b":{"":[]},"é":"\u007f"}"#,
        "\u{FEFF}{\"video_id\":\"\(guid)\"}",
        "\u{FEFF}\r\n\t {\"video_id\":\"\(guid)\"}\r\n",
        "\u{FEFF}{\"video_id\":\"\(guid)\",\"face\":\"\\ud800\"}",
        #"{"video_id":"\#(guid)","play_id":""}"#,
        #"{"video_id":"\#(guid)","play_id":"","face":"é"}"#,
        #"{"video_id":"\#(guid)","play_id":null}"#,
        #"{"video_id":"\#(guid)","play_id":["p"],"at":1}"#,
    ])
    func `is a play if it has a GUID video_id and any other fields`(body: String) {
        #expect(read(body) == .success(Play(of: `A message`.video)))
    }

    @Test(arguments: [
        (#""p-1""#, "p-1"), (#"" ""#, " "), (#""\u0000""#, "\0"), (#""é""#, "é"),
        (#""a\"b\\""#, #"a"b\"#),
        (#""1B4E28BA-2fa1-4d3b-a3f5-cf1b2c1e9a70""#, "1B4E28BA-2fa1-4d3b-a3f5-cf1b2c1e9a70"),
    ])
    func `may have any text but the empty one as its play_id`(json: String, text: String) {
        let body = #"{"play_id":\#(json),"video_id":"\#(`A message`.guid)"}"#
        #expect(
            read(body) == .success(Play(of: `A message`.video, playID: .text(Array(text.utf8)))))
    }

    @Test func `has different play_ids if their unpaired surrogates differ`() throws {
        let plays = try [#"\ud800"#, #"\ud801"#, #"\ufffd"#].map { id in
            try read(#"{"play_id":"\#(id)","video_id":"\#(`A message`.guid)"}"#).get()
        }
        #expect(Set(plays.map(\.playID)).count == 3)
        #expect(plays[0].playID == .text([0xED, 0xA0, 0x80]))
    }

    @Test func `stores a GUID play_id without an allocation`() {
        let body = #"{"play_id":"\#(`A message`.guid)","video_id":"\#(`A message`.guid)"}"#
        #expect(
            read(body) == .success(Play(of: `A message`.video, playID: .guid(`A message`.video))))
    }

    @Test(
        arguments: [
            ("", .notJSON), ("{", .notJSON), ("nul", .notJSON), ("{} {}", .notJSON),
            (#"{"video_id":"\#(guid)"} x"#, .notJSON), (#"{"video_id":"\#(guid)",}"#, .notJSON),
            (#"{"video_id":"\#(guid)","n":01}"#, .notJSON), (#"{"n":+1}"#, .notJSON),
            (#"{"n":1.}"#, .notJSON), (#"{"n":.5}"#, .notJSON), (#"{"n":1e}"#, .notJSON),
            (#"{"n":-}"#, .notJSON), (#"{"n":NaN}"#, .notJSON), (#"{'video_id':1}"#, .notJSON),
            ("{\"a\":\"\n\"}", .notJSON), (#"{"a":"\x41"}"#, .notJSON),
            (#"{"a":"\u12G4"}"#, .notJSON),
            ("\u{FEFF}\u{FEFF}{}", .notJSON), (" \u{FEFF}{}", .notJSON), ("\u{FEFF}", .notJSON),
            ("\u{FEFF}{}", .noVideoID), (#"{"a" 1}"#, .notJSON), ("[1 2]", .notJSON),
            ("[,]", .notJSON),
            ("[]", .notAnObject), ("7", .notAnObject), (#""{}""#, .notAnObject),
            ("null", .notAnObject),
            ("{}", .noVideoID), (#"{"videoId":"\#(guid)"}"#, .noVideoID),
            (#"{"x":{"video_id":"\#(guid)"}}"#, .noVideoID),
            (#"{"video_id":null}"#, .badVideoID), (#"{"video_id":7}"#, .badVideoID),
            (#"{"video_id":""}"#, .badVideoID), (#"{"video_id":"cats"}"#, .badVideoID),
            (#"{"video_id":["\#(guid)"]}"#, .badVideoID),
            (#"{"video_id":"\#(guid)","video_id":"\#(guid)"}"#, .duplicateKeys),
            (#"{"video_id":"\#(guid)","video\u005fid":"x"}"#, .duplicateKeys),
            (#"{"video_id":"\#(guid)","a":1,"a":2}"#, .duplicateKeys),
            (#"{"video_id":"\#(guid)","a":[{"b":1,"b":2}]}"#, .duplicateKeys),
            (#"{"video_id":"\uD83D"}"#, .badVideoID), (#"{"\ud83d":"\#(guid)"}"#, .noVideoID),
            (#"{"video_id":"\#(guid)","\ud83d":1,"\ud83d":2}"#, .duplicateKeys),
            (#"{"video_id":"\#(guid)","a":"\uD83"}"#, .notJSON),
            (#"{"video_id":"\#(guid)","a":"\uD83D\uDE0"}"#, .notJSON),
        ] as [(String, Rejection)])
    func `is rejected with the reason if it is not a play`(body: String, reason: Rejection) {
        #expect(read(body) == .failure(reason))
    }

    @Test func `is rejected if a byte is not UTF-8`() {
        var body = Array(#"{"video_id":"\#(`A message`.guid)","a":"?"}"#.utf8)
        body[body.count - 3] = 0xC3
        #expect(read(body) == .failure(.invalidUTF8))
    }

    @Test func `is accepted up to the limits and rejected beyond`() {
        var limits = PlayParsingLimits()
        let body = #"{"video_id":"\#(`A message`.guid)","a":[[[]]]}"#
        limits.bodyBytes = body.utf8.count
        limits.depth = 4
        #expect(read(body, limits) == .success(Play(of: `A message`.video)))
        limits.depth = 3
        #expect(read(body, limits) == .failure(.tooDeep))
        limits.bodyBytes -= 1
        #expect(read(body, limits) == .failure(.tooLarge))
    }

    @Test func `is rejected without a stack overflow if it is nested deeply`() {
        let open = String(repeating: "[", count: 60_000)
        #expect(read(open) == .failure(.tooDeep))
        #expect(read(String(repeating: #"{"a":"#, count: 12_000)) == .failure(.tooDeep))
    }

    @Test func `is parsed by the scanner alone if it has the common form`() {
        for body in [
            #"{"video_id":"\#(`A message`.guid)"}"#,
            #"{"video_id":"\#(`A message`.guid)","play_id":"\#(`A message`.guid)"}"#,
            #"{ "user" : "u-77", "at" : 1700000000, "video_id" : "\#(`A message`.guid)" }"#,
        ] {
            #expect(Play(scanning: Array(body.utf8).span.bytes) != nil, "\(body)")
        }
    }
}

/// The scanner, the strict parser and Foundation parse the same bytes.
@Suite(.blocking) struct `The two parsers of a message` {
    @Test(arguments: Seeds.all)
    func `agree on every message`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var scanned = 0
        for _ in 0..<20_000 {
            let body = randomMessage(&generator)
            let strict = result { () throws(Rejection) in try Play(strictlyParsing: body.span.bytes)
            }
            #expect(
                read(body) == strict, Seeds.comment(seed, String(decoding: body, as: UTF8.self)))
            if let scan = Play(scanning: body.span.bytes) {
                scanned += 1
                #expect(
                    strict == .success(scan),
                    Seeds.comment(seed, String(decoding: body, as: UTF8.self)))
            }
        }
        #expect(scanned > 1000, Seeds.comment(seed, "too few messages in the common form"))
    }

    @Test(arguments: Seeds.all)
    func `accept exactly the JSON that Foundation accepts`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        for _ in 0..<5000 {
            let body = randomMessage(&generator)
            let isJSON: Bool? =
                switch read(body) {
                case .failure(.duplicateKeys), .failure(.tooDeep): nil  // Foundation accepts these
                case .failure(.notJSON), .failure(.invalidUTF8): false
                default: true
                }
            let foundation = try? JSONSerialization.jsonObject(
                with: Data(body), options: .fragmentsAllowed)
            // Foundation also accepts a comma before a closing brace, and no unpaired surrogates.
            let dense = String(decoding: body.filter { $0 > 0x20 }, as: UTF8.self)
            let unpaired = dense.replacing(#"\ud83d\ude00"#, with: "").contains(#"\ud"#)
            guard let isJSON, !dense.contains(",}"), !unpaired else { continue }
            #expect(
                isJSON == (foundation != nil),
                Seeds.comment(seed, String(decoding: body, as: UTF8.self)))
        }
    }

    /// A message from pieces that reach all branches. Half of the messages have random errors.
    private func randomMessage(_ generator: inout SplitMix64) -> [UInt8] {
        let guid = `A message`.guid
        let keys = ["video_id", "play_id", "a", "b", "user", #"video\u005fid"#, "é", ""]
        let values = [
            "\"\(guid)\"", "\"\(guid)\"", "\"\(guid)\"", "\"x\"", "0", "-12", "1.5", "2e7", "01",
            "true", "false", "null", "nul", #""\n""#, #""\ud83d\ude00""#, #""\ud83d""#, "[]", "{}",
            #"[1,{"a":2}]"#, #"{"a":1,"a":2}"#, "\"a rather long text without anything in it\"",
        ]
        let fields = (0..<1 + generator.next(below: 4)).map { index in
            let key = index == 0 ? "video_id" : keys[generator.next(below: keys.count)]
            let value = values[generator.next(below: index == 0 ? 4 : values.count)]
            return "\"\(key)\":\(generator.next(below: 3) == 0 ? " " : "")\(value)"
        }
        var body = Array("{\(fields.joined(separator: ","))}".utf8)
        guard generator.next(below: 2) == 0 else { return body }
        let errorBytes = Array(#""\{}[],:-0tn u"#.utf8) + [0x01, 0x80, 0xC3, 0x0A]
        for _ in 0...generator.next(below: 2) {
            let position = generator.next(below: body.count)
            switch generator.next(below: 3) {
            case 0: body[position] = errorBytes[generator.next(below: errorBytes.count)]
            case 1: body.remove(at: position)
            default: body.insert(errorBytes[generator.next(below: errorBytes.count)], at: position)
            }
        }
        return body
    }
}

func read(_ body: String, _ limits: PlayParsingLimits = PlayParsingLimits()) -> Result<
    Play, Rejection
> {
    read(Array(body.utf8), limits)
}

func read(_ body: [UInt8], _ limits: PlayParsingLimits = PlayParsingLimits()) -> Result<
    Play, Rejection
> {
    result { () throws(Rejection) in try Play(parsing: body.span.bytes, limits: limits) }
}

private func result(_ read: () throws(Rejection) -> Play) -> Result<Play, Rejection> {
    do throws(Rejection) { return .success(try read()) } catch { return .failure(error) }
}
