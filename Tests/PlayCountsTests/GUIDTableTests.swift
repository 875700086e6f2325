import TestTraits
import Testing

@testable import PlayCounts

@Suite(.blocking, .timeLimit(.minutes(15))) struct `A GUID table` {
    @Test func `assigns indices in the order of insertion and finds them again`() {
        var table = GUIDTable()
        for index in 0..<5_000 {
            #expect(table.index(of: video(index)) == nil)
            #expect(table.insert(video(index)) == (index, true))
        }
        for index in 0..<5_000 {
            #expect(table.insert(video(index)) == (index, false))
            #expect(table.index(of: video(index)) == index)
        }
        #expect(table.guids == (0..<5_000).map(video))
    }

    /// The GUIDs differ in a few bits of one half only.
    @Test func `stays fast with consecutive GUIDs`() {
        var table = GUIDTable()
        for index in 0..<100_000 as Range<UInt64> {
            _ = table.insert(GUID(high: 7, low: index))
            _ = table.insert(GUID(high: index << 32, low: 0))
        }
        #expect(table.guids.count == 200_000)
    }
}
