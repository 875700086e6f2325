import Foundation
import PlayCounts
import Testing

@Suite struct `A message` {
    static let guid = "1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"
    static let video = VideoID(guid)!

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
    ])
    func `with a GUID video_id is a play, whatever else it holds`(body: String) {
        #expect(read(body) == .success(Play(of: `A message`.video)))
    }

    @Test(arguments: [
        (#""p-1""#, "p-1"), (#""""#, ""), (#""é""#, "é"), (#""a\"b\\""#, #"a"b\"#),
        (#""1B4E28BA-2fa1-4d3b-a3f5-cf1b2c1e9a70""#, "1B4E28BA-2fa1-4d3b-a3f5-cf1b2c1e9a70"),
    ])
    func `may name its play with any text`(json: String, text: String) {
        let body = #"{"play_id":\#(json),"video_id":"\#(`A message`.guid)"}"#
        #expect(
            read(body) == .success(Play(of: `A message`.video, playID: .text(Array(text.utf8)))))
    }

    @Test func `names its play with a GUID at no cost`() {
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
            ("\u{FEFF}{}", .notJSON), (#"{"a" 1}"#, .notJSON), ("[1 2]", .notJSON),
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
            (#"{"video_id":"\#(guid)","a":"\uD83D"}"#, .invalidUTF8),
            (#"{"video_id":"\#(guid)","a":"\uDE00\uD83D"}"#, .invalidUTF8),
        ] as [(String, Rejection)])
    func `that is no play is rejected with the reason`(body: String, reason: Rejection) {
        #expect(read(body) == .failure(reason))
    }

    @Test func `is rejected at the first byte that is not UTF-8`() {
        var body = Array(#"{"video_id":"\#(`A message`.guid)","a":"?"}"#.utf8)
        body[body.count - 3] = 0xC3
        #expect(read(body) == .failure(.invalidUTF8))
    }

    @Test func `is read up to the limits and not beyond`() {
        var limits = PlayLimits()
        let body = #"{"video_id":"\#(`A message`.guid)","a":[[[]]]}"#
        limits.bodyBytes = body.utf8.count
        limits.depth = 4
        #expect(read(body, limits) == .success(Play(of: `A message`.video)))
        limits.depth = 3
        #expect(read(body, limits) == .failure(.tooDeep))
        limits.bodyBytes -= 1
        #expect(read(body, limits) == .failure(.tooLarge))
    }

    @Test func `cannot bring the reader down by nesting`() {
        let open = String(repeating: "[", count: 60_000)
        #expect(read(open) == .failure(.tooDeep))
        #expect(read(String(repeating: #"{"a":"#, count: 12_000)) == .failure(.tooDeep))
    }

    @Test func `in the common form is never read twice`() {
        for body in [
            #"{"video_id":"\#(`A message`.guid)"}"#,
            #"{"video_id":"\#(`A message`.guid)","play_id":"\#(`A message`.guid)"}"#,
            #"{ "user" : "u-77", "at" : 1700000000, "video_id" : "\#(`A message`.guid)" }"#,
        ] {
            #expect(Play(scanning: Array(body.utf8).span.bytes) != nil, "\(body)")
        }
    }
}

/// Three readers of the same bytes: the scan, the strict reader, and Foundation's.
@Suite struct `The two readers of a message` {
    @Test(arguments: Seeds.all)
    func `agree on every message`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var scanned = 0
        for _ in 0..<20_000 {
            let body = someMessage(&generator)
            let strict = result { () throws(Rejection) in try Play(strictly: body.span.bytes) }
            #expect(read(body) == strict, Seeds.again(seed, String(decoding: body, as: UTF8.self)))
            if let scan = Play(scanning: body.span.bytes) {
                scanned += 1
                #expect(
                    strict == .success(scan),
                    Seeds.again(seed, String(decoding: body, as: UTF8.self)))
            }
        }
        #expect(scanned > 1000, Seeds.again(seed, "too few messages in the common form"))
    }

    @Test(arguments: Seeds.all)
    func `take what Foundation takes for JSON, no more and no less`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        for _ in 0..<5000 {
            let body = someMessage(&generator)
            let isJSON: Bool? =
                switch read(body) {
                case .failure(.duplicateKeys), .failure(.tooDeep): nil  // Foundation does not mind
                case .failure(.notJSON), .failure(.invalidUTF8): false
                default: true
                }
            let foundation = try? JSONSerialization.jsonObject(
                with: Data(body), options: .fragmentsAllowed)
            // It also forgives a comma before a closing brace.
            let dense = String(decoding: body.filter { $0 > 0x20 }, as: UTF8.self)
            guard let isJSON, !dense.contains(",}") else { continue }
            #expect(
                isJSON == (foundation != nil),
                Seeds.again(seed, String(decoding: body, as: UTF8.self)))
        }
    }

    /// A message from pieces that meet all branches, half of them then spoilt at a few places.
    private func someMessage(_ generator: inout SplitMix64) -> [UInt8] {
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
        let spoil = Array(#""\{}[],:-0tn u"#.utf8) + [0x01, 0x80, 0xC3, 0x0A]
        for _ in 0...generator.next(below: 2) {
            let position = generator.next(below: body.count)
            switch generator.next(below: 3) {
            case 0: body[position] = spoil[generator.next(below: spoil.count)]
            case 1: body.remove(at: position)
            default: body.insert(spoil[generator.next(below: spoil.count)], at: position)
            }
        }
        return body
    }
}

func read(_ body: String, _ limits: PlayLimits = PlayLimits()) -> Result<Play, Rejection> {
    read(Array(body.utf8), limits)
}

func read(_ body: [UInt8], _ limits: PlayLimits = PlayLimits()) -> Result<Play, Rejection> {
    result { () throws(Rejection) in try Play(reading: body.span.bytes, within: limits) }
}

private func result(_ read: () throws(Rejection) -> Play) -> Result<Play, Rejection> {
    do throws(Rejection) { return .success(try read()) } catch { return .failure(error) }
}
