import Foundation
import Histogram

/// The results of one nsqd, with one value per round and workload.
struct BenchResults {
    var multiPublish: [Double] = []
    var consume: [Double] = []
    var publish: [Double] = []
    var consumeSingly: [Double] = []
    var consumeReady1: [Double] = []
    var bothPublished: [Double] = []
    var bothConsumed: [Double] = []
    var latency: [Histogram<UInt32>] = []

    /// The messages per second of each workload, in the order of the report.
    var rates: [(name: String, key: String, perSecond: Double)] {
        let warm = multiPublish.dropFirst()
        return [
            ("MPUB, first round", "mpub_first", multiPublish[0]),
            ("MPUB, later rounds", "mpub", (warm.isEmpty ? multiPublish[...] : warm).median),
            ("consume with FIN", "consume", consume.median),
            ("PUB, pipelined", "pub", publish.median),
            ("consume, one write per FIN", "consume_singly", consumeSingly.median),
            ("consume with RDY 1", "consume_rdy_1", consumeReady1.median),
            ("concurrently: published", "both_published", bothPublished.median),
            ("concurrently: consumed", "both_consumed", bothConsumed.median),
        ]
    }

    /// The latency of a single message, in microseconds.
    var latencies: [(name: String, key: String, microseconds: Double)] {
        func medianLatency(_ value: (Histogram<UInt32>) -> UInt64) -> Double {
            latency.map { Double(value($0)) }.median
        }
        return [
            ("single message p50", "lone_p50_us", medianLatency { $0.valueAtPercentile(50) }),
            ("single message p99", "lone_p99_us", medianLatency { $0.valueAtPercentile(99) }),
            ("single message max", "lone_max_us", medianLatency(\.max)),
        ]
    }

    /// All values by their JSON keys.
    var valuesByKey: [String: Double] {
        var values: [String: Double] = [:]
        for rate in rates { values[rate.key] = rate.perSecond.rounded() }
        for latency in latencies { values[latency.key] = latency.microseconds }
        return values
    }
}

/// The results of one nsqd, or of two with their ratios.
struct BenchReport {
    let targets: [String]
    let results: [BenchResults]
    let transport: BenchTransport
    let connections: Int

    var table: String {
        var lines = [BenchTable.row(setting, targets + (hasRatio ? ["ratio"] : []))]
        for (index, rate) in results[0].rates.enumerated() {
            let values = results.map { $0.rates[index].perSecond }
            let cells = values.map { "\(BenchTable.thousands($0))/s" } + ratio(values)
            lines.append(BenchTable.row(rate.name, cells))
        }
        for (index, latency) in results[0].latencies.enumerated() {
            let values = results.map { $0.latencies[index].microseconds }
            let cells = values.map { "\(BenchTable.thousands($0)) µs" } + ratio(values)
            lines.append(BenchTable.row(latency.name, cells))
        }
        return lines.joined(separator: "\n")
    }

    /// The report as JSON: one object per nsqd. If there are two, an object `ratio` has the values
    /// of the first nsqd divided by those of the second.
    var json: String {
        get throws {
            var object: [String: [String: Double]] = [:]
            for (target, result) in zip(targets, results) { object[target] = result.valuesByKey }
            if hasRatio {
                let others = results[1].valuesByKey
                object["ratio"] = results[0].valuesByKey.merging(others) {
                    $1 > 0 ? ($0 / $1 * 10_000).rounded() / 10_000 : 0
                }
            }
            return try BenchTable.json(object)
        }
    }

    /// The number of connections and the transport, where they differ from the defaults.
    private var setting: String {
        let number = connections > 1 ? "\(connections) connections" : ""
        return [number, transport.description].filter { !$0.isEmpty }.joined(separator: ", ")
    }

    private var hasRatio: Bool { results.count == 2 }

    private func ratio(_ values: [Double]) -> [String] {
        guard hasRatio, values[1] > 0 else { return [] }
        let ratio = values[0] / values[1]
        let digits = ratio < 0.1 ? 4 : 2
        return [BenchTable.number(ratio, digits: digits) + " ×"]
    }
}
