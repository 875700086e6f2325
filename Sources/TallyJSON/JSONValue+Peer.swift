/// Access to the members of another program's response, whose values can be anything.
extension JSONValue {
    /// The largest number that is accepted. Every JSON parser reads integers up to this number
    /// exactly.
    private static let maxCount = 1 << 52
    /// The largest number with a fraction that is accepted, so that no average overflows.
    private static let maxDecimal = 1e18
    /// The maximum size of a text in bytes; the names of topics and channels have at most 64.
    private static let maxTextBytes = 256

    /// The number of a member, limited to ±2^52; 0 if it is missing.
    package func count(_ name: String) -> Int {
        let number = self[name].flatMap { Int(json: $0) } ?? 0
        return min(max(number, -Self.maxCount), Self.maxCount)
    }

    /// The start of the text of a member, at most 256 bytes; empty if it is missing.
    package func text(_ name: String) -> String {
        self[name].flatMap { String(json: $0) }?.truncated(toBytes: Self.maxTextBytes) ?? ""
    }

    /// The Boolean of a member; `false` if it is missing.
    package func flag(_ name: String) -> Bool {
        self[name].flatMap { Bool(json: $0) } ?? false
    }

    /// The number of a member, limited to ±10^18; 0 if it is missing.
    package func decimal(_ name: String) -> Double {
        guard case .number(let digits) = self[name], let number = Double(digits), !number.isNaN
        else { return 0 }
        return min(max(number, -Self.maxDecimal), Self.maxDecimal)
    }

    /// The elements of a member that is an array; `nil` if it is missing or `null`.
    package func elements(_ name: String) -> [JSONValue]? {
        guard case .array(let values) = self[name] else { return nil }
        return values
    }
}

extension String {
    /// The longest start of the text with at most `count` bytes of UTF-8.
    package func truncated(toBytes count: Int) -> String {
        guard utf8.count > count else { return self }
        var end = utf8.index(startIndex, offsetBy: count)
        while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
