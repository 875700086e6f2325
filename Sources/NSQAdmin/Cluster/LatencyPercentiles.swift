import TallyBasics
import TallyJSON

/// The percentiles of the time from publish to finish, at one nsqd or combined over several.
package struct LatencyPercentiles: Sendable {
    /// One percentile; the times are in nanoseconds.
    package struct Entry: Sendable {
        package var quantile: Double
        /// The time at one nsqd; `nil` if the entry combines several.
        package var value: Double?
        package var min: Double
        package var max: Double
        /// The average over the nsqds, weighted with the numbers of their messages.
        package var average: Double
        package var count: Double
    }

    package var count = 0
    /// The percentiles, highest first; `nil` if nsqd does not measure them.
    package private(set) var entries: [Entry]?

    private static let maxEntries = 100

    /// Creates percentiles without values, to which ``add(_:)`` adds.
    package init() {}

    /// Reads `e2e_processing_latency` in the statistics of an nsqd.
    init(_ json: JSONValue) {
        count = json.count("count")
        guard let percentiles = json.elements("percentiles") else { return }
        entries = percentiles.prefix(Self.maxEntries).map { percentile in
            let value = percentile.decimal("value")
            return Entry(
                quantile: percentile.decimal("quantile"), value: value, min: value, max: value,
                average: value, count: Double(count))
        }
    }

    /// Adds the percentiles of another nsqd. Entries with the same quantile are averaged.
    mutating func add(_ other: LatencyPercentiles) {
        count.addSaturated(other.count)
        guard let others = other.entries else { return }
        var merged = entries ?? []
        for other in others {
            if let index = merged.firstIndex(where: { $0.quantile == other.quantile }) {
                merged[index].add(other)
            } else if merged.count < Self.maxEntries {
                var first = other
                first.value = nil
                if first.count == 0 { first.average = 0 }
                merged.append(first)
            }
        }
        entries = merged.sorted { $0.quantile > $1.quantile }
    }
}

extension LatencyPercentiles.Entry {
    fileprivate mutating func add(_ other: Self) {
        min = Swift.min(min, other.min)
        max = Swift.max(max, other.max)
        count += other.count
        average = count == 0 ? 0 : average + (other.average - average) * other.count / count
    }
}
