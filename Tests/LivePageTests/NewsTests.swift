import PlayCounts
import Testing

@testable import LivePage

@Suite struct `News that nobody takes` {
    @Test func `keep the last totals and the sums, and no more calls than a bound`() {
        var calls = Calls(videosPerCall: 1)
        var desk = NewsDesk(of: PageSettings())
        for round in 0..<News.maxCalls + 500 {
            for call in calls.play([round % 3], at: Instant(nanoseconds: Int64(round))) {
                desk.called(call, at: Instant(nanoseconds: Int64(round)))
            }
        }
        let news = desk.take()
        #expect(news.calls.count == News.maxCalls)
        #expect(news.missed.calls == 500)
        #expect(news.missed.immediateCalls == 500)
        #expect(news.missed.totals.videos == 3)
        #expect(news.missed.totals.plays == News.maxCalls + 500)
        #expect(desk.isEmpty && desk.take().calls.isEmpty)
    }

    /// However late the page is, it hears how few calls would have done, and what waits.
    @Test func `say what all batches come to, and what of them was not called`() {
        var calls = Calls()
        var desk = NewsDesk(of: PageSettings())
        for round in 1...1_000 {
            let instant = Instant(nanoseconds: Int64(round))
            let changes = (0..<30).map {
                CountChange(
                    videoID: video($0), count: round, arrival: instant, isImmediate: true)
            }
            desk.committed(changes, at: instant, counted: 30 * round)
            guard round < 1_000 else { break }
            for call in calls.play(0..<30, at: instant) { desk.called(call, at: instant) }
        }
        let news = desk.take()
        #expect(news.counted == 30_000)
        #expect(news.waitingVideos == 30)
        #expect(news.plannedCalls == 2_000)
        #expect(desk.isEmpty)
        #expect(desk.take().counted == 30_000)
    }
}
