import PlayCounts
import TestKit
import TestTraits
import Testing

@testable import LivePage

@Suite(.blocking) struct `The video table` {
    private func row(
        _ number: Int, _ count: Int, updated: Int64 = 0, call: UInt32 = 0
    ) -> VideoTable.Row {
        VideoTable.Row(
            videoID: video(number), count: count, updated: updated, call: call, isImmediate: false)
    }

    @Test func `keeps the last total of each video`() {
        var table = VideoTable()
        table.update(row(1, 5))
        table.update(row(2, 7))
        table.update(row(1, 6))
        #expect(table.videos == 2)
        #expect(table.plays == 13)
        #expect(table[video(1)]?.count == 6)
        #expect(table[video(3)] == nil)
    }

    @Test(arguments: [VideoTable.Query.Sort.plays, .recent, .video], [true, false])
    func `returns the first rows in the requested order`(
        sort: VideoTable.Query.Sort, isAscending: Bool
    ) {
        var generator = SeededGenerator(seed: 3)
        var rows: [VideoTable.Row] = []
        for number in (0..<500).shuffled(using: &generator) {
            rows.append(
                row(
                    number, .random(in: 1...50, using: &generator),
                    updated: .random(in: 0...50, using: &generator),
                    call: .random(in: 0...50, using: &generator)))
        }
        var table = VideoTable()
        for row in rows { table.update(row) }
        let way = isAscending ? 1 : -1
        let sorted = rows.sorted { one, other in
            let difference =
                switch sort {
                case .plays: one.count - other.count
                case .recent: Int(one.updated - other.updated)
                case .video: one.videoID.low < other.videoID.low ? -1 : 1
                }
            guard difference == 0 else { return way * difference < 0 }
            // Equal totals keep the order in which calls published them.
            let calls = Int(one.call) - Int(other.call)
            guard calls == 0 else { return sort == .plays ? calls < 0 : way * calls < 0 }
            return one.videoID.low < other.videoID.low
        }
        for limit in [1, 10, 499, 500, 1000] {
            let query = VideoTable.Query(sort: sort, isAscending: isAscending, limit: limit)
            let (found, matching) = table.rows(query)
            #expect(found == Array(sorted.prefix(limit)))
            #expect(matching == 500)
        }
    }

    @Test func `finds videos by a part of their IDs`() {
        var table = VideoTable()
        for number in 0..<256 { table.update(row(number, 1 + number)) }
        let (rows, matching) = table.rows(VideoTable.Query(search: "00a", limit: 3))
        // …00a, and …0a0 to …0af.
        #expect(matching == 17)
        #expect(rows.map(\.count) == [0xb0, 0xaf, 0xae])
        #expect(table.rows(VideoTable.Query(search: video(9).text)).rows.map(\.count) == [10])
        #expect(table.rows(VideoTable.Query(search: video(9).text + "0")).matching == 0)
    }
}
