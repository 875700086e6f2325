import PlayCounts
import TestTraits
import Testing

@Suite(.blocking) struct `A written play` {
    @Test func `is one line of JSON`() {
        let video = VideoID("1B4E28BA-2FA1-4D3B-A3F5-CF1B2C1E9A70")!
        var bytes: [UInt8] = []
        Play(of: video).appendJSON(to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"video_id":"1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"}"#)
        bytes.removeAll()
        Play(of: video, playID: .text(Array("a\"\n\\é".utf8))).appendJSON(to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"video_id":"1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70","play_id":"a\"\u000a\\é"}"#)
    }

    @Test func `is equal after parsing`() throws {
        for play in try PlayGenerator().prefix(1000) {
            var bytes: [UInt8] = []
            play.appendJSON(to: &bytes)
            #expect(Play(scanning: bytes.span.bytes) == play)
        }
        for byte in UInt8.min..<0x80 {
            let play = Play(of: GUID(high: 1, low: 2), playID: .text([byte, 0x41]))
            var bytes: [UInt8] = []
            play.appendJSON(to: &bytes)
            #expect(read(bytes) == .success(play))
        }
    }
}
