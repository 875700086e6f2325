import Histogram
import TallyBasics

/// The latencies of plays: a histogram with a precision of three digits up to one hour, and the
/// exact maximum.
struct Latencies {
    private var histogram = Histogram<UInt64>(highestTrackableValue: 3_600_000_000_000)
    private var longest = Duration.zero

    /// The number of recorded plays.
    var plays: Int { Int(histogram.totalCount) }
    /// The longest latency in milliseconds.
    var longestMilliseconds: Double { longest.verdictMilliseconds }

    mutating func record(_ latency: Duration) {
        let nanoseconds = UInt64(max(0, latency.nanoseconds))
        histogram.record(min(nanoseconds, histogram.highestTrackableValue))
        longest = max(longest, latency)
    }

    /// A percentile in milliseconds; 0 if no plays were recorded.
    func percentile(_ percentile: Double) -> Double {
        guard plays > 0 else { return 0 }
        return Duration.nanoseconds(Int64(histogram.valueAtPercentile(percentile)))
            .verdictMilliseconds
    }

    /// A text with the number of plays, the median, the 99th percentile and the maximum.
    var summary: String {
        "\(counted(plays, "play")): median \(percentile(50)) ms, 99% within \(percentile(99)) ms, "
            + "maximum \(longestMilliseconds) ms"
    }
}

extension Duration {
    /// The duration in milliseconds, rounded to whole microseconds.
    var verdictMilliseconds: Double {
        (Double(nanoseconds) / 1000).rounded() / 1000
    }
}
