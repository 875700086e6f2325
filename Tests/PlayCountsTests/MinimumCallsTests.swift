import PlayCounts
import TallyBasics
import TestTraits
import Testing

/// A committed batch.
struct Arrivals {
    let instant: MonotonicInstant
    let changes: [CountChange]
}

@Suite(.blocking) struct `The minimum number of calls` {
    /// The search knows all arrivals and tries every time of a call and every choice of videos.
    @Test(arguments: Seeds.all)
    func `equals an exhaustive search if no pending video is played again`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        for _ in 0..<120 {
            let batches = smallCase(&generator, repeats: false)
            let coalesce = Duration.seconds([0, 5, 20][generator.next(below: 3)])
            let counts = compare(batches, coalesce)
            #expect(counts.made == counts.fewest, Seeds.comment(seed, "\(batches)"))
            #expect(counts.planned == counts.fewest, Seeds.comment(seed, "\(batches)"))
        }
    }

    /// If videos are played again, the earliest deadline is not always the best choice: of two videos
    /// with equal deadlines, the one whose next play is later is better. The effect is largest with
    /// two videos a call and few batches. Measured: nine of ten cases are minimal, the worst has three
    /// calls instead of two, and all cases together have 2.3 % more calls than necessary.
    @Test(arguments: Seeds.all)
    func `is close to an exhaustive search if videos are played again`(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var (fewest, made, minimal) = (0, 0, 0)
        for _ in 0..<400 {
            let batches = smallCase(&generator, repeats: true)
            let coalesce = Duration.seconds([0, 5, 20][generator.next(below: 3)])
            let counts = compare(batches, coalesce)
            #expect(counts.made == counts.planned, Seeds.comment(seed, "\(batches)"))
            #expect(floor(of: batches, 2, coalesce) <= counts.fewest, Seeds.comment(seed))
            #expect(2 * counts.made <= 3 * counts.fewest, Seeds.comment(seed, "\(batches)"))
            fewest += counts.fewest
            made += counts.made
            minimal += counts.made == counts.fewest ? 1 : 0
        }
        #expect(
            100 * made <= 103 * fewest, Seeds.comment(seed, "\(made) calls, \(fewest) possible"))
        #expect(minimal > 340, Seeds.comment(seed, "\(minimal) of 400 are minimal"))
    }

    /// Three videos of one batch have the same deadline, and the call for an immediate video has a
    /// free slot for one of them. The video in that slot is then played again and needs another
    /// call. The plan cannot predict that, so a run may choose better; its ratio is 1 then.
    @Test func `may be higher than the calls of a run if videos have equal deadlines`() {
        func batch(_ second: Int, _ videos: [(index: Int, isImmediate: Bool)]) -> Arrivals {
            let instant = MonotonicInstant.start + .seconds(second)
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
        // The plan, which is made in advance, fills the free slot with the first video of the batch.
        #expect(counts.map(\.planned) == [3, 2, 2])
        #expect(counts.contains { $0.made < $0.planned })
        for count in counts {
            let fewest = MinimumCalls.fewest(planned: count.planned, made: count.made)
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

    /// Simulates one or two hours. The scheduler publishes before each deadline by its margin, which
    /// the minimum does not need.
    @Test(arguments: Flow.allCases, [1, 2] as [UInt64])
    func `is at most 2 % below the scheduler's calls in a long run`(
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
        // With few videos any call carries some videos long before their deadlines. The lower bound
        // assumes that each waits for its deadline.
        #expect(Double(calls) / Double(floor) <= (flow == .allHot ? 1.08 : 1.02), counts)
    }

    /// A longer delay of immediate plays gives fewer calls, for the scheduler and for the minimum.
    @Test func `decreases with the coalescing delay`() {
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
    func `is approached without late or unchanged counts`(flow: Flow) {
        let batches = largeFlow(flow, seed: 3)
        let run = simulate(batches)
        var waiting: [VideoID: MonotonicInstant] = [:]
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

    /// Videos 3 and 4 are always immediate, the others never.
    private func smallCase(_ generator: inout SplitMix64, repeats: Bool) -> [Arrivals] {
        var instant = MonotonicInstant.start
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
        var counter = PlayCounter(realtimeBelow: realtimeBelow)
        let end = MonotonicInstant.start + .seconds(3600 * hours)
        var now = MonotonicInstant.start
        var batches: [Arrivals] = []
        while now < end {
            let isBurst = flow == .bursts && generator.next(below: 500) == 0
            let pause = flow == .bursts && generator.next(below: 100) == 0 ? 40_000 : 700
            now = now + .milliseconds(1 + generator.next(below: pause))
            for _ in 0...(isBurst ? 5000 : generator.next(below: 20)) {
                // The fourth power gives a few videos most of the plays.
                let share = Double(generator.next(below: 1 << 20)) / Double(1 << 20)
                let index = Int(share * share * share * share * Double(videos))
                counter.count(Play(of: video(index)), arrival: now)
            }
            batches.append(Arrivals(instant: now, changes: counter.removeChanges()))
        }
        return batches
    }
}

/// Gives batches to a scheduler whose client accepts each call at once.
func simulate(
    _ batches: [Arrivals], videosPerCall: Int = 20, margin: Duration = .milliseconds(500),
    coalesce: Duration = .zero
) -> (calls: Int, log: CallLog) {
    var settings = CallScheduler.Settings()
    settings.videosPerCall = videosPerCall
    settings.margin = margin
    settings.coalesce = coalesce
    var scheduler = CallScheduler(settings)
    var log = CallLog()
    func call(at now: MonotonicInstant) {
        for call in scheduler.startDueCalls(at: now) {
            log.record(call.counts, at: now)
            scheduler.callAccepted(call)
        }
    }
    for batch in batches {
        while let deadline = scheduler.nextDeadline(), deadline < batch.instant {
            call(at: deadline)
        }
        scheduler.enqueue(batch.changes)
        call(at: batch.instant)
    }
    while let deadline = scheduler.nextDeadline() { call(at: deadline) }
    return (log.calls, log)
}

func plan(
    _ batches: [Arrivals], videosPerCall: Int = 20, coalesce: Duration = .zero
) -> Int {
    var minimumCalls = MinimumCalls(videosPerCall: videosPerCall, coalesce: coalesce)
    for batch in batches { minimumCalls.add(batch.changes, at: batch.instant) }
    return minimumCalls.totalCalls
}

/// Returns a lower bound of the number of calls.
///
/// For each video it selects plays of which no call can publish two, because the deadline of each one
/// passes before the next one arrives. So each selected play needs a slot of its own. The number of
/// calls for these slots is the smallest if each call is made at the earliest deadline and is filled
/// in the order of deadlines.
func floor(
    of batches: [Arrivals], _ videosPerCall: Int = 20, _ coalesce: Duration = .zero
) -> Int {
    var lastEnd: [VideoID: MonotonicInstant] = [:]
    var slots: [(start: MonotonicInstant, end: MonotonicInstant)] = []
    for batch in batches {
        for change in batch.changes {
            let delay = change.isImmediate ? coalesce : .seconds(60)
            let end = max(change.arrival + delay, batch.instant)
            if let last = lastEnd[change.videoID], batch.instant <= last { continue }
            lastEnd[change.videoID] = end
            slots.append((batch.instant, end))
        }
    }
    return fewestCalls(for: slots, videosPerCall)
}

/// - Parameter slots: the slots in the order of their starts.
private func fewestCalls(
    for slots: [(start: MonotonicInstant, end: MonotonicInstant)], _ videosPerCall: Int
) -> Int {
    var calls = 0
    var next = slots[...]
    // Sorted.
    var open: [MonotonicInstant] = []
    while let first = open.first ?? next.first?.end {
        var deadline = first
        while let slot = next.first, slot.start <= deadline {
            next.removeFirst()
            open.insert(slot.end, at: open.partitioningIndex { $0 > slot.end })
            deadline = open[0]
        }
        calls += 1
        open.removeFirst(min(videosPerCall, open.count))
    }
    return calls
}

/// Tries every subset of the pending videos at each batch and at each deadline. A call at any other
/// time could be made later without publishing fewer plays.
private struct Search {
    let batches: [Arrivals]
    let videosPerCall: Int
    let freshness: Duration
    let coalesce: Duration

    private struct State: Hashable {
        var batch: Int
        /// The deadlines of the pending videos.
        var waiting: [VideoID: MonotonicInstant]
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

    /// The call must contain the videos that are due, and may contain any others.
    private mutating func best(from state: State, at now: MonotonicInstant) -> Int {
        let due = state.waiting.keys.filter { state.waiting[$0]! <= now }
        let others = state.waiting.keys.filter { state.waiting[$0]! > now }
        var best = Int.max
        for choice in 0..<1 << others.count {
            let chosen = due + others.indices.filter { choice >> $0 & 1 == 1 }.map { others[$0] }
            var next = state
            for videoID in chosen { next.waiting[videoID] = nil }
            let calls = (chosen.count + videosPerCall - 1) / videosPerCall
            best = min(best, calls + fewest(from: next))
        }
        return best
    }
}
