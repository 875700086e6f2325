import Foundation
import Histogram
import UVLoop

/// What the rounds gave for one nsqd: a figure a round.
struct BenchResults {
    var multiPublish: [Double] = []
    var consume: [Double] = []
    var publish: [Double] = []
    var bothPublished: [Double] = []
    var bothConsumed: [Double] = []
    var latency: [Histogram<UInt32>] = []

    /// Messages per second by load, in the order they are printed.
    var rates: [(name: String, key: String, perSecond: Double)] {
        let warm = multiPublish.dropFirst()
        return [
            ("MPUB, first round", "mpub_first", multiPublish[0]),
            ("MPUB, later rounds", "mpub", median(warm.isEmpty ? multiPublish[...] : warm)),
            ("consume with FIN", "consume", median(consume[...])),
            ("PUB, pipelined", "pub", median(publish[...])),
            ("both at once: published", "both_published", median(bothPublished[...])),
            ("both at once: consumed", "both_consumed", median(bothConsumed[...])),
        ]
    }

    /// Microseconds for a lone message.
    var latencies: [(name: String, key: String, microseconds: Double)] {
        func middle(_ pick: (Histogram<UInt32>) -> UInt64) -> Double {
            median(latency.map { Double(pick($0)) }[...])
        }
        return [
            ("lone message p50", "lone_p50_us", middle { $0.valueAtPercentile(50) }),
            ("lone message p99", "lone_p99_us", middle { $0.valueAtPercentile(99) }),
            ("lone message max", "lone_max_us", middle(\.max)),
        ]
    }

    private func median(_ values: ArraySlice<Double>) -> Double {
        values.sorted()[values.count / 2]
    }
}

/// The figures of one nsqd, or of two and their ratios.
struct BenchReport {
    let addresses: [SocketAddress]
    let results: [BenchResults]

    var table: String {
        var lines = [row("", addresses.map(\.description) + (hasRatio ? ["ratio"] : []))]
        for (place, rate) in results[0].rates.enumerated() {
            let figures = results.map { $0.rates[place].perSecond }
            lines.append(row(rate.name, figures.map { "\(thousands($0))/s" } + ratio(figures)))
        }
        for (place, latency) in results[0].latencies.enumerated() {
            let figures = results.map { $0.latencies[place].microseconds }
            lines.append(row(latency.name, figures.map { "\(thousands($0)) µs" } + ratio(figures)))
        }
        return lines.joined(separator: "\n")
    }

    var json: String {
        get throws {
            var object: [String: [String: Double]] = [:]
            for (address, result) in zip(addresses, results) {
                var figures: [String: Double] = [:]
                for rate in result.rates { figures[rate.key] = rate.perSecond.rounded() }
                for latency in result.latencies { figures[latency.key] = latency.microseconds }
                object[address.description] = figures
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(object), as: UTF8.self)
        }
    }

    private var hasRatio: Bool { results.count == 2 }

    private func ratio(_ figures: [Double]) -> [String] {
        guard hasRatio, figures[1] > 0 else { return [] }
        let ratio = figures[0] / figures[1]
        let digits = ratio < 0.1 ? 4 : 2
        return [ratio.formatted(.number.precision(.fractionLength(digits)).locale(plain)) + " ×"]
    }

    private func thousands(_ value: Double) -> String {
        value.formatted(.number.precision(.fractionLength(0)).locale(plain))
    }

    private var plain: Locale { Locale(identifier: "en_US_POSIX") }

    private func row(_ name: String, _ cells: [String]) -> String {
        func pad(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        return name + String(repeating: " ", count: max(0, 26 - name.count))
            + cells.map { pad($0, 20) }.joined()
    }
}
