import PlayCounts
import Testing

@Suite struct `A tally` {
    let cats = GUID(high: 1, low: 1)
    let dogs = GUID(high: 2, low: 2)

    @Test func `gives every video of a batch once, with its total and its first arrival`() {
        var tally = Tally([PlayCount(of: cats, 500)])
        tally.count(Play(of: cats), arrival: .start)
        tally.count(Play(of: dogs), arrival: .start + .milliseconds(1))
        tally.count(Play(of: cats), arrival: .start + .milliseconds(2))
        #expect(
            tally.takeChanges() == [
                CountChange(videoID: cats, count: 502, arrival: .start, isImmediate: false),
                CountChange(
                    videoID: dogs, count: 1, arrival: .start + .milliseconds(1), isImmediate: true),
            ])
        #expect(!tally.hasChanges)
        #expect(tally.takeChanges() == [])
        #expect(tally.count(of: cats) == 502)
        #expect(tally.videos == 2)
    }

    @Test(arguments: [(0, 1, true), (98, 1, true), (99, 1, false), (98, 5, true), (99, 5, false)])
    func `makes a video immediate if any play leaves it at 1 to 99`(
        before: Int, plays: Int, isImmediate: Bool
    ) {
        var tally = Tally(before > 0 ? [PlayCount(of: cats, before)] : [])
        for _ in 0..<plays { tally.count(Play(of: cats), arrival: .start) }
        #expect(
            tally.takeChanges() == [
                CountChange(
                    videoID: cats, count: before + plays, arrival: .start, isImmediate: isImmediate)
            ])
    }

    @Test(arguments: Seeds.all)
    func `counts like a plain dictionary, however the batches fall`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var tally = Tally()
        var plain: [VideoID: Int] = [:]
        for _ in 0..<300 {
            var changed: Set<VideoID> = []
            for _ in 0..<generator.next(below: 40) {
                let video = SplitMix64.guid(seed: 9, index: generator.next(below: 30))
                tally.count(Play(of: video), arrival: .start)
                plain[video, default: 0] += 1
                changed.insert(video)
            }
            let changes = tally.takeChanges()
            #expect(changes.count == changed.count, Seeds.again(seed))
            for change in changes {
                #expect(plain[change.videoID] == change.count, Seeds.again(seed))
            }
        }
    }
}
