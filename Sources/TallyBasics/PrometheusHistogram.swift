/// A histogram with fixed buckets for Prometheus, of durations in seconds or of numbers.
package struct PrometheusHistogram: Sendable, Equatable {
    private let bounds: [Bound]
    // INVARIANT: has one element for each bound, and one for the values above the last bound.
    private var counts: [Int]
    /// The number of values.
    package private(set) var count = 0
    package private(set) var sum = 0.0

    /// The upper bound of a bucket. It is stored as a text, because different texts of the same
    /// number, such as `1e-05` and `0.00001`, are different buckets for Prometheus.
    private struct Bound: Equatable {
        let text: String
        let value: Double
    }

    /// Creates a histogram without values.
    ///
    /// - Parameter bounds: the upper bounds of the buckets in ascending order; a last bucket without
    ///   a bound is added.
    package init(bounds: [String]) {
        self.bounds = bounds.map { text in
            guard let value = Double(text) else { preconditionFailure("\(text) is a number") }
            return Bound(text: text, value: value)
        }
        precondition(
            zip(self.bounds, self.bounds.dropFirst()).allSatisfy { $0.value < $1.value },
            "bounds are in ascending order")
        counts = [Int](repeating: 0, count: bounds.count + 1)
    }

    /// Counts one value.
    package mutating func add(_ value: Double) {
        counts[bounds.partitioningIndex { $0.value >= value }] += 1
        count += 1
        sum += value
    }

    /// Counts one duration, in seconds.
    package mutating func add(_ duration: Duration) {
        add(nanoseconds: duration.nanoseconds)
    }

    /// Counts one duration, in seconds.
    package mutating func add(nanoseconds: Int64) {
        add(Double(nanoseconds) / 1e9)
    }

    /// Each upper bound, with the number of values up to it.
    package var cumulative: [(bound: String, count: Int)] {
        var sum = 0
        return zip(bounds.map(\.text) + ["+Inf"], counts).map { bound, count in
            sum += count
            return (bound, sum)
        }
    }
}
