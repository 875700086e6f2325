/// Go's parsers for flag values.
extension GoText {
    /// Parses a Boolean as Go's `strconv.ParseBool` does; `nil` if it is malformed.
    package static func bool(_ text: String) -> Bool? {
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": true
        case "0", "f", "F", "false", "FALSE", "False": false
        default: nil
        }
    }

    /// Parses an integer as Go's `strconv.ParseInt` does with base 0: `10`, `-10`, `0xa`, `0b1010`,
    /// `0o12`, `1_000`.
    package static func integer(_ text: String) throws(BadValue) -> Int {
        var digits = text[...]
        let sign = digits.first == "-" ? "-" : ""
        if digits.first == "-" || digits.first == "+" { digits.removeFirst() }
        var radix = 10
        for (prefix, base) in [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)]
        where digits.count > 1 && digits.lowercased().hasPrefix(prefix) {
            digits = digits.dropFirst(prefix.count)
            radix = base
            break
        }
        let isWellFormed =
            digits.first?.isHexDigit == true && digits.last?.isHexDigit == true
            && digits.allSatisfy { digit in
                digit == "_" || (digit.isASCII && digit.hexDigitValue.map { $0 < radix } == true)
            }
        guard isWellFormed else { throw .malformed }
        guard let number = Int(sign + digits.filter { $0 != "_" }, radix: radix) else {
            throw .outOfRange
        }
        return number
    }
}

extension Duration {
    private static let units: [(name: String, nanoseconds: Double)] = [
        ("ns", 1), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9),
        ("h", 3600e9),
    ]

    /// Parses a duration as Go's `time.ParseDuration` does: `60s`, `1m30s`, `250ms`, `1.5h`, `-1s`.
    /// Every number except 0 needs a unit.
    package init?(goText text: String) {
        var rest = text[...]
        let isNegative = rest.first == "-"
        if isNegative || rest.first == "+" { rest.removeFirst() }
        guard !rest.isEmpty else { return nil }
        if rest == "0" {
            self = .zero
            return
        }
        var total = 0.0
        while !rest.isEmpty {
            let digits = rest.prefix(while: Self.isDecimal)
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { !Self.isDecimal($0) }
            rest = rest.dropFirst(name.count)
            guard let number = Double(digits),
                let unit = Self.units.first(where: { $0.name == name })
            else { return nil }
            total += number * unit.nanoseconds
        }
        guard let nanoseconds = Int64(exactly: total.rounded()) else { return nil }
        self = .nanoseconds(isNegative ? -nanoseconds : nanoseconds)
    }

    /// Returns how to write a duration instead of a text that cannot be parsed.
    package static func remedy(forGoText text: String) -> String {
        let isNumber = Double(text) != nil && text.allSatisfy { isDecimal($0) || $0 == "-" }
        return isNumber ? "use \(text)s" : "use a duration such as 60s, 1m30s or 250ms"
    }

    private static func isDecimal(_ character: Character) -> Bool {
        ("0"..."9").contains(character) || character == "."
    }
}
