import PlayCounts
import Testing

/// A batch as it was committed.
struct Arrivals {
    let instant: Instant
    let changes: [CountChange]
}

@Suite struct `The number of calls` {
    /// All that a publisher can decide is when to call and which videos to take along. Here a
    /// search tries every choice, knowing all arrivals.
    @Test(arguments: Seeds.all)
    func `is the fewest there can be, if no waiting video is played again`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        for _ in 0..<120 {
            let batches = smallCase(&generator, repeats: false)
            let coalesce = Duration.seconds([0, 5, 20][generator.next(below: 3)])
            let counts = compare(batches, coalesce)
            #expect(counts.made == counts.fewest, Seeds.again(seed, "\(batches)"))
            #expect(counts.planned == counts.fewest, Seeds.again(seed, "\(batches)"))
        }
    }

    /// When they are played again, the earliest deadline is a good rule and no perfect one: of
    /// two that wait alike, it would be better to take the one that will then be quiet for longer.
    /// Two videos a call and a few batches are where that weighs most. Measured: nine cases in ten
    /// are minimal, the worst makes three calls for two, and all together 2.3 % too many.
    @Test(arguments: Seeds.all)
    func `is close to the fewest there can be in every other small case`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var (fewest, made, minimal) = (0, 0, 0)
        for _ in 0..<400 {
            let batches = smallCase(&generator, repeats: true)
            let coalesce = Duration.seconds([0, 5, 20][generator.next(below: 3)])
            let counts = compare(batches, coalesce)
            #expect(counts.made == counts.planned, Seeds.again(seed, "\(batches)"))
            #expect(floor(of: batches, 2, coalesce) <= counts.fewest, Seeds.again(seed))
            #expect(2 * counts.made <= 3 * counts.fewest, Seeds.again(seed, "\(batches)"))
            fewest += counts.fewest
            made += counts.made
            minimal += counts.made == counts.fewest ? 1 : 0
        }
        #expect(100 * made <= 103 * fewest, Seeds.again(seed, "\(made) calls, \(fewest) possible"))
        #expect(minimal > 340, Seeds.again(seed, "\(minimal) of 400 are minimal"))
    }

    /// Three videos of one batch have the same deadline, and there is room for one of them in the
    /// call that an immediate one needs. Then the one that the plan took is played again, and is to
    /// be called once more: the plan has taken the wrong one, and which that was only the future
    /// could tell. So a run may be better than the plan, and its ratio is 1 then.
    @Test func `may by chance be below the plan, where videos are due alike`() {
        func batch(_ second: Int, _ videos: [(index: Int, isImmediate: Bool)]) -> Arrivals {
            let instant = Instant.start + .seconds(second)
            return Arrivals(
                instant: instant,
                changes: videos.map {
                    CountChange(
                        videoID: video($0.index), count: second, arrival: instant,
                        isImmediate: $0.isImmediate)
                })
        }
        let first = batch(1, [(9, true), (1, false), (2, false), (3, false)])
        let counts = [1, 2, 3].map { again in
            compare([first, batch(2, [(again, false)])], .zero)
        }
        #expect(counts.map(\.fewest) == [2, 2, 2])
        // The first one of the batch fills the plan's call.
        #expect(counts.map(\.planned) == [3, 2, 2])
        #expect(counts.contains { $0.made < $0.planned })
        for count in counts {
            let fewest = CallPlanner.fewest(planned: count.planned, made: count.made)
            #expect(count.fewest...count.made ~= fewest)
        }
    }

    private func compare(
        _ batches: [Arrivals], _ coalesce: Duration
    ) -> (fewest: Int, planned: Int, made: Int) {
        var search = Search(
            batches: batches, videosPerCall: 2, freshness: .seconds(60), coalesce: coalesce)
        return (
            search.fewestCalls(), plan(batches, videosPerCall: 2, coalesce: coalesce),
            simulate(batches, videosPerCall: 2, margin: .zero, coalesce: coalesce).calls
        )
    }

    enum Flow: CaseIterable {
        case even, bursts, allHot, manyHot, allCold, manyVideos
    }

    /// An hour or two of simulated time, with the margin that the publisher takes for the
    /// call's own way and the planner does not need.
    @Test(arguments: Flow.allCases, [1, 2] as [UInt64])
    func `is at most two in a hundred above the planner's in a large flow`(
        flow: Flow, seed: UInt64
    ) {
        let batches = largeFlow(flow, seed: seed)
        let calls = simulate(batches).calls
        let planned = plan(batches)
        let floor = floor(of: batches)
        let counts: Comment =
            "\(flow), seed \(seed): \(calls) calls, \(planned) planned, \(floor) at least"
        #expect(Double(calls) / Double(planned) <= 1.02, counts)
        #expect(floor <= min(calls, planned), counts)
        // With few videos a call carries some well before they are due, whoever makes it; the floor
        // has each wait for its deadline.
        #expect(Double(calls) / Double(floor) <= (flow == .allHot ? 1.08 : 1.02), counts)
    }

    /// The longer immediate plays may wait for others, the fewer calls there are, and the planner
    /// would not do with fewer.
    @Test func `falls with the time that is given to coalescing`() {
        let batches = largeFlow(.allCold, seed: 4)
        var last = Int.max
        for coalesce in [.zero, .milliseconds(400), .seconds(2), .seconds(20)] as [Duration] {
            let calls = simulate(batches, coalesce: coalesce).calls
            #expect(calls < last)
            #expect(100 * calls <= 102 * plan(batches, coalesce: coalesce))
            last = calls
        }
    }

    @Test(arguments: Flow.allCases)
    func `is never bought with a late or a needless count`(flow: Flow) {
        let batches = largeFlow(flow, seed: 3)
        let run = simulate(batches)
        var waiting: [VideoID: Instant] = [:]
        var next = batches[...]
        for call in run.log.entries {
            while let batch = next.first, batch.instant <= call.instant {
                next.removeFirst()
                for change in batch.changes where waiting[change.videoID] == nil {
                    waiting[change.videoID] = change.arrival
                }
            }
            for count in call.counts {
                guard let since = waiting.removeValue(forKey: count.videoID) else {
                    Issue.record("unchanged \(count)")
                    continue
                }
                #expect(call.instant - since <= .seconds(60))
            }
        }
        #expect(waiting.isEmpty && next.isEmpty)
    }

    /// Videos 3 and 4 are cold, so that a video is immediate always or never.
    private func smallCase(_ generator: inout SplitMix64, repeats: Bool) -> [Arrivals] {
        var instant = Instant.start
        return (0..<2 + generator.next(below: repeats ? 6 : 3)).map { number in
            instant = instant + .seconds(1 + generator.next(below: 45))
            var videos = [0, 1, 2, 3, 4]
            generator.shuffle(&videos)
            let changes = videos.prefix(1 + generator.next(below: 4)).enumerated().map {
                let arrival = instant + .milliseconds($0 - 10)
                let isCold = $1 > 2
                let index = repeats ? $1 : $1 + 10 * number
                return CountChange(
                    videoID: video(index), count: 1, arrival: arrival, isImmediate: isCold)
            }
            return Arrivals(instant: instant, changes: changes)
        }
    }

    private func largeFlow(_ flow: Flow, seed: UInt64) -> [Arrivals] {
        var generator = SplitMix64(seed: seed)
        let (videos, hours, realtimeBelow) =
            switch flow {
            case .even: (500, 2, 100)
            case .bursts: (1000, 2, 100)
            case .allHot: (130, 2, 0)
            case .manyHot: (20_000, 2, 0)
            case .allCold: (300, 2, .max)
            case .manyVideos: (100_000, 1, 100)
            }
        var tally = Tally(realtimeBelow: realtimeBelow)
        let end = Instant.start + .seconds(3600 * hours)
        var now = Instant.start
        var batches: [Arrivals] = []
        while now < end {
            let isBurst = flow == .bursts && generator.next(below: 500) == 0
            let pause = flow == .bursts && generator.next(below: 100) == 0 ? 40_000 : 700
            now = now + .milliseconds(1 + generator.next(below: pause))
            for _ in 0...(isBurst ? 5000 : generator.next(below: 20)) {
                // Squared twice, so that a few videos have most of the plays.
                let share = Double(generator.next(below: 1 << 20)) / Double(1 << 20)
                let index = Int(share * share * share * share * Double(videos))
                tally.count(Play(of: video(index)), arrival: now)
            }
            batches.append(Arrivals(instant: now, changes: tally.takeChanges()))
        }
        return batches
    }
}

/// Plays batches to a publisher whose client takes every call at once.
func simulate(
    _ batches: [Arrivals], videosPerCall: Int = 20, margin: Duration = .milliseconds(500),
    coalesce: Duration = .zero
) -> (calls: Int, log: CallLog) {
    var settings = CountPublisher.Settings()
    settings.videosPerCall = videosPerCall
    settings.margin = margin
    settings.coalesce = coalesce
    var publisher = CountPublisher(settings)
    var log = CallLog()
    func call(at now: Instant) {
        for call in publisher.calls(at: now) {
            log.record(call.counts, at: now)
            publisher.accepted(call)
        }
    }
    for batch in batches {
        while let deadline = publisher.nextDeadline(), deadline < batch.instant {
            call(at: deadline)
        }
        publisher.receive(batch.changes)
        call(at: batch.instant)
    }
    while let deadline = publisher.nextDeadline() { call(at: deadline) }
    return (log.calls, log)
}

func plan(
    _ batches: [Arrivals], videosPerCall: Int = 20, coalesce: Duration = .zero
) -> Int {
    var planner = CallPlanner(videosPerCall: videosPerCall, coalesce: coalesce)
    for batch in batches { planner.receive(batch.changes, at: batch.instant) }
    return planner.callsToTheEnd
}

/// A number of calls that nobody can do with fewer than, whatever the future brings.
///
/// Of each video, plays are picked of which no call can show two: the earlier one's deadline is over
/// before the later one comes. Each of them takes a place in a call of its own, and for places that
/// are fixed like this, calls at the earliest deadline filled by earliest deadline are the fewest.
func floor(
    of batches: [Arrivals], _ videosPerCall: Int = 20, _ coalesce: Duration = .zero
) -> Int {
    var lastEnd: [VideoID: Instant] = [:]
    var places: [(start: Instant, end: Instant)] = []
    for batch in batches {
        for change in batch.changes {
            let delay = change.isImmediate ? coalesce : .seconds(60)
            let end = max(change.arrival + delay, batch.instant)
            if let last = lastEnd[change.videoID], batch.instant <= last { continue }
            lastEnd[change.videoID] = end
            places.append((batch.instant, end))
        }
    }
    return fewestCalls(for: places, videosPerCall)
}

/// - Parameter places: in the order of their starts.
private func fewestCalls(
    for places: [(start: Instant, end: Instant)], _ videosPerCall: Int
) -> Int {
    var calls = 0
    var next = places[...]
    // In order.
    var open: [Instant] = []
    while let first = open.first ?? next.first?.end {
        var deadline = first
        while let place = next.first, place.start <= deadline {
            next.removeFirst()
            open.insert(place.end, at: open.firstPlace(above: place.end))
            deadline = open[0]
        }
        calls += 1
        open.removeFirst(min(videosPerCall, open.count))
    }
    return calls
}

extension [Instant] {
    /// Of an array that is in order.
    fileprivate func firstPlace(above instant: Instant) -> Int {
        var range = startIndex..<endIndex
        while !range.isEmpty {
            let middle = (range.lowerBound + range.upperBound) / 2
            if self[middle] <= instant {
                range = middle + 1..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound
    }
}

/// Tries every subset of the waiting videos at every moment that matters: at a batch, and when
/// one that waits can wait no longer. At any other moment a call may as well be made later: it
/// then shows the same plays or more.
private struct Search {
    let batches: [Arrivals]
    let videosPerCall: Int
    let freshness: Duration
    let coalesce: Duration

    private struct State: Hashable {
        var batch: Int
        /// Until when each video can wait.
        var waiting: [VideoID: Instant]
    }

    private var known: [State: Int] = [:]

    init(batches: [Arrivals], videosPerCall: Int, freshness: Duration, coalesce: Duration) {
        self.batches = batches
        self.videosPerCall = videosPerCall
        self.freshness = freshness
        self.coalesce = coalesce
    }

    mutating func fewestCalls() -> Int {
        fewest(from: State(batch: 0, waiting: [:]))
    }

    private mutating func fewest(from state: State) -> Int {
        if let known = known[state] { return known }
        let deadline = state.waiting.values.min()
        let result: Int
        let next = state.batch < batches.count ? batches[state.batch] : nil
        if let next, deadline.map({ next.instant <= $0 }) ?? true {
            result = afterBatch(next, from: state)
        } else if let deadline {
            result = best(from: state, at: deadline)
        } else {
            result = 0
        }
        known[state] = result
        return result
    }

    private mutating func afterBatch(_ batch: Arrivals, from state: State) -> Int {
        var next = state
        next.batch += 1
        for change in batch.changes {
            let deadline = change.arrival + (change.isImmediate ? coalesce : freshness)
            next.waiting[change.videoID] = min(
                deadline, next.waiting[change.videoID] ?? deadline)
        }
        return best(from: next, at: batch.instant)
    }

    /// Of those that wait, any may be taken along, and those that are due must be.
    private mutating func best(from state: State, at now: Instant) -> Int {
        let due = state.waiting.keys.filter { state.waiting[$0]! <= now }
        let others = state.waiting.keys.filter { state.waiting[$0]! > now }
        var best = Int.max
        for choice in 0..<1 << others.count {
            let taken = due + others.indices.filter { choice >> $0 & 1 == 1 }.map { others[$0] }
            var next = state
            for videoID in taken { next.waiting[videoID] = nil }
            let calls = (taken.count + videosPerCall - 1) / videosPerCall
            best = min(best, calls + fewest(from: next))
        }
        return best
    }
}
