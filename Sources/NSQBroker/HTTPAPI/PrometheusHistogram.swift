import TallyBasics

/// A histogram of durations with fixed buckets, for Prometheus.
struct PrometheusHistogram {
    private var counts = [Int](repeating: 0, count: bounds.count + 1)
    private(set) var count = 0
    private(set) var sumNanoseconds: Int64 = 0

    /// The upper bounds of the buckets: as text in seconds, and in nanoseconds.
    private static let bounds: [(text: String, nanoseconds: Int64)] = [
        ("0.00001", 10_000), ("0.00003", 30_000), ("0.0001", 100_000), ("0.0003", 300_000),
        ("0.001", 1_000_000), ("0.003", 3_000_000), ("0.01", 10_000_000), ("0.03", 30_000_000),
        ("0.1", 100_000_000), ("0.3", 300_000_000), ("1", 1_000_000_000),
    ]

    /// Counts one duration.
    mutating func add(nanoseconds: Int64) {
        var bucket = 0
        while bucket < Self.bounds.count, Self.bounds[bucket].nanoseconds < nanoseconds {
            bucket += 1
        }
        counts[bucket] += 1
        count += 1
        sumNanoseconds += nanoseconds
    }

    /// Each upper bound, with the number of durations up to it.
    var cumulative: [(bound: String, count: Int)] {
        var sum = 0
        return zip(Self.bounds.map(\.text) + ["+Inf"], counts).map { bound, count in
            sum += count
            return (bound, sum)
        }
    }
}
