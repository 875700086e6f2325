import Foundation
import Histogram

/// What the rounds gave for one nsqd: a figure a round.
struct BenchResults {
    var multiPublish: [Double] = []
    var consume: [Double] = []
    var publish: [Double] = []
    var consumeSingly: [Double] = []
    var consumeReady1: [Double] = []
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
            ("consume, a write for a FIN", "consume_singly", median(consumeSingly[...])),
            ("consume with RDY 1", "consume_rdy_1", median(consumeReady1[...])),
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

    /// All of them by their keys.
    var figures: [String: Double] {
        var figures: [String: Double] = [:]
        for rate in rates { figures[rate.key] = rate.perSecond.rounded() }
        for latency in latencies { figures[latency.key] = latency.microseconds }
        return figures
    }

    private func median(_ values: ArraySlice<Double>) -> Double {
        values.sorted()[values.count / 2]
    }
}

/// The figures of one nsqd, or of two and their ratios.
struct BenchReport {
    let targets: [String]
    let results: [BenchResults]
    let transport: BenchTransport
    let connections: Int

    var table: String {
        var lines = [row(setting, targets + (hasRatio ? ["ratio"] : []))]
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

    /// An object for each nsqd by its name, and `ratio` if there are two: the first's figures as
    /// multiples of the second's.
    var json: String {
        get throws {
            var object: [String: [String: Double]] = [:]
            for (target, result) in zip(targets, results) { object[target] = result.figures }
            if hasRatio {
                let others = results[1].figures
                object["ratio"] = results[0].figures.merging(others) {
                    $1 > 0 ? ($0 / $1 * 10_000).rounded() / 10_000 : 0
                }
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(object), as: UTF8.self)
        }
    }

    /// What it was measured with, beyond the usual.
    private var setting: String {
        let number = connections > 1 ? "\(connections) connections" : ""
        return [number, transport.description].filter { !$0.isEmpty }.joined(separator: ", ")
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
        return name + String(repeating: " ", count: max(0, 29 - name.count))
            + cells.map { pad($0, 19) }.joined()
    }
}
