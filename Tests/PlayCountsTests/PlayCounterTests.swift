import PlayCounts
import TallyBasics
import TestTraits
import Testing

@Suite(.blocking) struct `The play counter` {
    let cats = GUID(high: 1, low: 1)
    let dogs = GUID(high: 2, low: 2)

    @Test func `returns each video of a batch once, with its total and first arrival`() {
        var counter = PlayCounter([PlayCount(of: cats, 500)])
        counter.count(Play(of: cats), arrival: .start)
        counter.count(Play(of: dogs), arrival: .start + .milliseconds(1))
        counter.count(Play(of: cats), arrival: .start + .milliseconds(2))
        #expect(
            counter.removeChanges() == [
                CountChange(videoID: cats, count: 502, arrival: .start, isImmediate: false),
                CountChange(
                    videoID: dogs, count: 1, arrival: .start + .milliseconds(1), isImmediate: true),
            ])
        #expect(!counter.hasChanges)
        #expect(counter.removeChanges() == [])
        #expect(counter.count(of: cats) == 502)
        #expect(counter.videos == 2)
    }

    @Test(arguments: [(0, 1, true), (98, 1, true), (99, 1, false), (98, 5, true), (99, 5, false)])
    func `makes a change immediate if a play leaves the video at 1 to 99`(
        before: Int, plays: Int, isImmediate: Bool
    ) {
        var counter = PlayCounter(before > 0 ? [PlayCount(of: cats, before)] : [])
        for _ in 0..<plays { counter.count(Play(of: cats), arrival: .start) }
        #expect(
            counter.removeChanges() == [
                CountChange(
                    videoID: cats, count: before + plays, arrival: .start, isImmediate: isImmediate)
            ])
    }

    @Test(arguments: Seeds.all)
    func `counts like a dictionary with random batches`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var counter = PlayCounter()
        var plain: [VideoID: Int] = [:]
        for _ in 0..<300 {
            var changed: Set<VideoID> = []
            for _ in 0..<generator.next(below: 40) {
                let video = SplitMix64.guid(seed: 9, index: generator.next(below: 30))
                counter.count(Play(of: video), arrival: .start)
                plain[video, default: 0] += 1
                changed.insert(video)
            }
            let changes = counter.removeChanges()
            #expect(changes.count == changed.count, Seeds.comment(seed))
            for change in changes {
                #expect(plain[change.videoID] == change.count, Seeds.comment(seed))
            }
        }
    }
}
