/// Builds a response to a scrape of Prometheus: metric families, each followed by its samples.
///
/// - SeeAlso: Prometheus, “Exposition formats”, text-based format.
package struct PrometheusText: Sendable {
    /// The type of a family's samples.
    package enum Kind: String, Sendable {
        case counter, gauge, histogram, summary
    }

    /// A label of a sample. The value can be any text.
    package typealias Label = (name: String, value: String)

    /// The value of the `Content-Type` header.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// The text of all families so far.
    package private(set) var text = ""
    private var family = ""
    private var families: Set<String> = []

    package init() {}

    /// Begins a family, to which the samples that follow belong.
    ///
    /// - Parameters:
    ///   - family: the name of the metric, which must be new.
    ///   - help: one sentence with the unit.
    package mutating func add(_ family: String, _ kind: Kind, _ help: String) {
        precondition(families.insert(family).inserted, "\(family) is a family already")
        self.family = family
        text += "# HELP \(family) \(Self.escaped(help))\n# TYPE \(family) \(kind.rawValue)\n"
    }

    /// Adds a sample.
    package mutating func sample(_ value: Int, _ labels: Label...) {
        append("", "\(value)", labels)
    }

    /// Adds a sample that is 1 for `true` and 0 for `false`.
    package mutating func sample(_ value: Bool, _ labels: Label...) {
        append("", value ? "1" : "0", labels)
    }

    /// Adds a sample in seconds.
    package mutating func sample(_ value: Duration, _ labels: Label...) {
        append("", Self.seconds(value.nanoseconds), labels)
    }

    /// Adds the samples of a histogram.
    package mutating func sample(_ histogram: PrometheusHistogram, _ labels: Label...) {
        for (bound, count) in histogram.cumulative {
            append("_bucket", "\(count)", labels + [("le", bound)])
        }
        append("_sum", "\(histogram.sum)", labels)
        append("_count", "\(histogram.count)", labels)
    }

    /// Adds the samples of a summary of durations.
    package mutating func sample(
        _ quantiles: [(quantile: Double, nanoseconds: Int64)], count: Int, _ labels: Label...
    ) {
        for (quantile, nanoseconds) in quantiles {
            append("", Self.seconds(nanoseconds), labels + [("quantile", "\(quantile)")])
        }
        append("_count", "\(count)", labels)
    }

    private mutating func append(_ suffix: String, _ value: String, _ labels: [Label]) {
        let list = labels.map { name, value in
            "\(name)=\"\(Self.escaped(value, quotes: true))\""
        }
        text += family + suffix
        if !list.isEmpty { text += "{\(list.joined(separator: ","))}" }
        text += " \(value)\n"
    }

    private static func seconds(_ nanoseconds: Int64) -> String { "\(Double(nanoseconds) / 1e9)" }

    /// - Parameter quotes: `true` in the value of a label, which stands between quotes.
    private static func escaped(_ text: String, quotes: Bool = false) -> String {
        // This check saves time, because a broker may have thousands of channels, whose names need no
        // escape.
        guard text.utf8.contains(where: { [0x5C, 0x0A, 0x22].contains($0) }) else { return text }
        var escaped = ""
        // A line feed after a carriage return is a part of one `Character`.
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
