import Testing

@testable import PlayCounts

@Suite(.timeLimit(.minutes(5))) struct `A table of GUIDs` {
    @Test func `numbers them as they first come, and knows them again`() {
        var table = GUIDTable()
        for index in 0..<5_000 {
            #expect(table.number(of: video(index)) == nil)
            #expect(table.insert(video(index)) == (index, true))
        }
        for index in 0..<5_000 {
            #expect(table.insert(video(index)) == (index, false))
            #expect(table.number(of: video(index)) == index)
        }
        #expect(table.guids == (0..<5_000).map(video))
    }

    /// By both halves, and by half a one: some give out GUIDs that hardly differ.
    @Test func `is as quick with GUIDs that count up`() {
        var table = GUIDTable()
        for index in 0..<100_000 as Range<UInt64> {
            _ = table.insert(GUID(high: 7, low: index))
            _ = table.insert(GUID(high: index << 32, low: 0))
        }
        #expect(table.guids.count == 200_000)
    }
}
