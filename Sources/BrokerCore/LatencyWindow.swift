/// How long messages took from their publishing to their FIN, over the last while.
///
/// As in nsqd the window has two halves that take turns: what is younger than one of them always
/// counts, what is older than both never does.
final class LatencyWindow {
    private let half: Int64
    private var current = LatencyHistogram()
    private var previous = LatencyHistogram()
    /// When the halves take turns next, on the monotonic clock.
    private var turnsAt: Int64

    init(length: Duration, at now: Int64) {
        half = max(1, length.nanoseconds / 2)
        turnsAt = now + half
    }

    /// Counts a message that took so long. The wall clock may have jumped meanwhile: none took less
    /// than no time.
    @inline(__always)
    func add(_ nanoseconds: Int64, at now: Int64) {
        if now >= turnsAt { move(to: now) }
        current.add(max(0, nanoseconds))
    }

    /// All that counts now.
    func histogram(at now: Int64) -> LatencyHistogram {
        if now >= turnsAt { move(to: now) }
        var all = current
        all.merge(previous)
        return all
    }

    private func move(to now: Int64) {
        // Whoever was quiet for more than a half has nothing left in it.
        previous = now - turnsAt < half ? current : LatencyHistogram()
        current = LatencyHistogram()
        turnsAt += ((now - turnsAt) / half + 1) * half
    }
}

/// Counts times by their size, in steps of less than one percent.
struct LatencyHistogram {
    private(set) var count = 0
    private var longest: Int64 = 0
    /// As many as the longest time needs: some tens of kilobytes at most.
    private var buckets: [Int] = []

    /// Buckets for each doubling.
    private static let stepsLog2 = 7

    mutating func add(_ nanoseconds: Int64) {
        let place = Self.place(of: nanoseconds)
        makeRoom(place + 1)
        buckets[place] += 1
        count += 1
        longest = max(longest, nanoseconds)
    }

    mutating func merge(_ other: LatencyHistogram) {
        makeRoom(other.buckets.count)
        for (place, number) in other.buckets.enumerated() { buckets[place] += number }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// The time that so large a part of all messages took at most; 0 if there are none.
    func nanoseconds(at quantile: Double) -> Int64 {
        let rank = max(1, Int((quantile * Double(count)).rounded(.up)))
        var passed = 0
        for (place, number) in buckets.enumerated() {
            passed += number
            if passed >= rank { return min(Self.end(of: place), longest) }
        }
        return longest
    }

    private mutating func makeRoom(_ size: Int) {
        guard buckets.count < size else { return }
        buckets += Array(repeating: 0, count: size - buckets.count)
    }

    /// Up to 2^7 nanoseconds each has its bucket; from there on each doubling is cut in 2^7 parts.
    private static func place(of value: Int64) -> Int {
        let shift = max(0, Int64.bitWidth - 1 - stepsLog2 - value.leadingZeroBitCount)
        return shift << stepsLog2 + Int(value >> Int64(shift))
    }

    /// The largest value of a bucket.
    private static func end(of place: Int) -> Int64 {
        let shift = max(0, place >> stepsLog2 - 1)
        let step = Int64(place - shift << stepsLog2)
        return (step << Int64(shift)) + (1 << Int64(shift) - 1)
    }
}
