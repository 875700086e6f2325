import Foundation

/// The layout of the reports of benchmarks.
enum BenchTable {
    private static var plain: Locale { Locale(identifier: "en_US_POSIX") }

    static func row(_ name: String, _ cells: [String]) -> String {
        func pad(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        return name + String(repeating: " ", count: max(0, 29 - name.count))
            + cells.map { pad($0, 19) }.joined()
    }

    static func thousands(_ value: Double) -> String { number(value, digits: 0) }

    static func number(_ value: Double, digits: Int) -> String {
        value.formatted(.number.precision(.fractionLength(digits)).locale(plain))
    }

    static func json(_ object: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(object), as: UTF8.self)
    }
}

extension Collection<Double> {
    /// The middle value; of an even number of values, the higher of the two in the middle.
    ///
    /// - Precondition: the collection is not empty.
    var median: Double { sorted()[count / 2] }
}
