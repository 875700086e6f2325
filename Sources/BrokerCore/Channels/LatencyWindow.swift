import TallyBasics

/// The distribution of message latencies over a sliding window. A latency is the time between the
/// publish of a message and its FIN.
///
/// As in nsqd, the window consists of two halves. Latencies from the last half window are always
/// included, and latencies older than a full window are never included.
final class LatencyWindow {
    private let half: Int64
    private var current = LatencyHistogram()
    private var previous = LatencyHistogram()
    /// The time on the monotonic clock, in nanoseconds, at which the current half ends.
    private var rotatesAt: Int64

    init(length: Duration, at now: Int64) {
        half = max(1, length.nanoseconds / 2)
        rotatesAt = now + half
    }

    /// Adds a latency in nanoseconds. A negative value, which a jump of the wall clock can cause,
    /// counts as 0.
    @inline(__always)
    func add(_ nanoseconds: Int64, at now: Int64) {
        if now >= rotatesAt { rotate(to: now) }
        current.add(max(0, nanoseconds))
    }

    /// Returns the histogram of all latencies in the window.
    func histogram(at now: Int64) -> LatencyHistogram {
        if now >= rotatesAt { rotate(to: now) }
        var all = current
        all.merge(previous)
        return all
    }

    private func rotate(to now: Int64) {
        // If no latency was added for more than half a window, the current half is too old as well.
        previous = now - rotatesAt < half ? current : LatencyHistogram()
        current = LatencyHistogram()
        rotatesAt += ((now - rotatesAt) / half + 1) * half
    }
}

/// A histogram of durations whose buckets are less than one percent wide.
struct LatencyHistogram {
    private(set) var count = 0
    private var longest: Int64 = 0
    /// The number of durations in each bucket. The array grows with the longest duration, up to
    /// some tens of kilobytes.
    private var buckets: [Int] = []

    /// The binary logarithm of the number of buckets between one power of two and the next.
    private static let stepsLog2 = 7

    mutating func add(_ nanoseconds: Int64) {
        let bucket = Self.bucket(of: nanoseconds)
        reserve(bucket + 1)
        buckets[bucket] += 1
        count += 1
        longest = max(longest, nanoseconds)
    }

    mutating func merge(_ other: LatencyHistogram) {
        reserve(other.buckets.count)
        for (bucket, number) in other.buckets.enumerated() { buckets[bucket] += number }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// Returns a quantile of all durations, in nanoseconds; 0 without durations.
    ///
    /// - Parameter quantile: the quantile's rank, from 0 to 1.
    func nanoseconds(at quantile: Double) -> Int64 {
        let rank = max(1, Int((quantile * Double(count)).rounded(.up)))
        var passed = 0
        for (bucket, number) in buckets.enumerated() {
            passed += number
            if passed >= rank { return min(Self.end(of: bucket), longest) }
        }
        return longest
    }

    private mutating func reserve(_ size: Int) {
        guard buckets.count < size else { return }
        buckets += Array(repeating: 0, count: size - buckets.count)
    }

    /// Returns the index of a duration's bucket. Each nanosecond value up to 2^7 has its own
    /// bucket; the range between two higher powers of two is divided into 2^7 buckets.
    private static func bucket(of value: Int64) -> Int {
        let shift = max(0, Int64.bitWidth - 1 - stepsLog2 - value.leadingZeroBitCount)
        return shift << stepsLog2 + Int(value >> Int64(shift))
    }

    /// Returns the largest duration in a bucket, in nanoseconds.
    private static func end(of bucket: Int) -> Int64 {
        let shift = max(0, bucket >> stepsLog2 - 1)
        let step = Int64(bucket - shift << stepsLog2)
        return (step << Int64(shift)) + (1 << Int64(shift) - 1)
    }
}
