import ArgumentParser

/// A length of time in Go's syntax, as all of NSQ's flags take it: `60s`, `1m30s`, `250ms`, `1.5h`.
struct GoDuration: ExpressibleByArgument, CustomStringConvertible {
    let duration: Duration
    private let text: String

    init?(argument: String) {
        guard let nanoseconds = Self.nanoseconds(argument[...]) else { return nil }
        duration = .nanoseconds(nanoseconds)
        text = argument
    }

    var defaultValueDescription: String { text }
    var description: String { text }

    private static let units: [(name: String, nanoseconds: Double)] = [
        ("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
    ]

    private static func nanoseconds(_ text: Substring) -> Int64? {
        // A bare number is refused but for 0, which has no need of a unit.
        if text == "0" { return 0 }
        guard !text.isEmpty else { return nil }
        var rest = text
        var total = 0.0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { !($0.isASCII && ($0.isNumber || $0 == ".")) }
            rest = rest.dropFirst(name.count)
            guard let number = Double(digits),
                let unit = units.first(where: { $0.name == name })
            else { return nil }
            total += number * unit.nanoseconds
        }
        return Int64(exactly: total.rounded())
    }
}
