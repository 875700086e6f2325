import PlayCounts
import Testing

@testable import LivePage

@Suite struct `News that nobody takes` {
    @Test func `keep the last totals and the sums, and no more calls than a bound`() {
        var calls = Calls(videosPerCall: 1)
        var news = News()
        for round in 0..<News.maxCalls + 500 {
            for call in calls.play([round % 3], at: Instant(nanoseconds: Int64(round))) {
                news.called(call, at: Instant(nanoseconds: Int64(round)))
            }
        }
        #expect(news.calls.count == News.maxCalls)
        #expect(news.missed.calls == 500)
        #expect(news.missed.immediateCalls == 500)
        #expect(news.missed.totals.count == 3)
        let plays = news.missed.totals.values.reduce(0) { $0 + $1.count }
        #expect(plays == News.maxCalls + 500)
    }

    @Test func `keep no more changes than a bound, and say so`() {
        var news = News()
        let change = CountChange(
            videoID: video(1), count: 1, arrival: .start, isImmediate: true)
        let batch = [CountChange](repeating: change, count: 100_000)
        for _ in 1...5 { news.committed(batch, at: .start, counted: 1) }
        #expect(!news.hasMissedCommits)
        news.committed(batch, at: .start, counted: 600_000)
        #expect(news.hasMissedCommits)
        #expect(news.commits.count == 5)
        let taken = news.take()
        #expect(taken.counted == 600_000)
        #expect(news.isEmpty)
    }
}
