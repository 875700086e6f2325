/// Times counted by their size, as Prometheus wants them.
struct PrometheusHistogram {
    private var counts = [Int](repeating: 0, count: bounds.count + 1)
    private(set) var count = 0
    private(set) var sumNanoseconds: Int64 = 0

    /// In seconds as they are written, and in nanoseconds.
    private static let bounds: [(text: String, nanoseconds: Int64)] = [
        ("0.00001", 10_000), ("0.00003", 30_000), ("0.0001", 100_000), ("0.0003", 300_000),
        ("0.001", 1_000_000), ("0.003", 3_000_000), ("0.01", 10_000_000), ("0.03", 30_000_000),
        ("0.1", 100_000_000), ("0.3", 300_000_000), ("1", 1_000_000_000),
    ]

    mutating func add(nanoseconds: Int64) {
        var place = 0
        while place < Self.bounds.count, Self.bounds[place].nanoseconds < nanoseconds { place += 1 }
        counts[place] += 1
        count += 1
        sumNanoseconds += nanoseconds
    }

    /// Each bound with the number of times that do not exceed it.
    var cumulative: [(bound: String, count: Int)] {
        var sum = 0
        return zip(Self.bounds.map(\.text) + ["+Inf"], counts).map { bound, count in
            sum += count
            return (bound, sum)
        }
    }
}
