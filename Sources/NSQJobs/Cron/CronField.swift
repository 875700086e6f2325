/// One field of a cron expression: the set of its values, as one bit each.
struct CronField: Hashable, Sendable {
    /// The unit of a field: its name and its valid values.
    struct Unit {
        let name: String
        let range: ClosedRange<Int>
        /// The names of the values from the lower bound on.
        var names: [String] = []

        static let minute = Unit(name: "minute", range: 0...59)
        static let hour = Unit(name: "hour", range: 0...23)
        static let day = Unit(name: "day of month", range: 1...31)
        static let month = Unit(
            name: "month", range: 1...12,
            names: [
                "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
            ])
        /// 0 and 7 are Sunday.
        static let weekday = Unit(
            name: "day of week", range: 0...7,
            names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])
    }

    private let bits: UInt64
    /// `true` if the field begins with `*`, so that it does not restrict the days or the hours.
    let isWildcard: Bool

    /// Parses a list of values, ranges and steps, such as `1,10-20/5,MON`.
    ///
    /// - Throws: ``JobsError/Code/invalidOption``.
    init(_ text: Substring, _ unit: Unit) throws(JobsError) {
        var bits: UInt64 = 0
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            for value in try Self.values(of: part, unit) { bits |= 1 << UInt64(value) }
        }
        if unit.range == Unit.weekday.range, bits & 1 << 7 != 0 { bits |= 1 }
        self.bits = bits
        isWildcard = text.hasPrefix("*")
    }

    func contains(_ value: Int) -> Bool { bits & 1 << UInt64(value) != 0 }

    private static func values(
        of part: Substring, _ unit: Unit
    ) throws(JobsError) -> StrideThrough<Int> {
        let halves = part.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        var step = 1
        if halves.count == 2 {
            guard let number = number(halves[1]), number > 0 else { throw invalid(part, unit) }
            step = number
        }
        let bounds = halves[0].split(
            separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        if halves[0] == "*" {
            return stride(from: unit.range.lowerBound, through: unit.range.upperBound, by: step)
        }
        guard let first = value(bounds[0], unit), let last = value(bounds.last!, unit),
            first <= last
        else { throw invalid(part, unit) }
        // As in other crons, `5/15` begins at 5 and continues to the end.
        let end = bounds.count == 1 && halves.count == 2 ? unit.range.upperBound : last
        return stride(from: first, through: end, by: step)
    }

    private static func value(_ text: Substring, _ unit: Unit) -> Int? {
        if let index = unit.names.firstIndex(of: text.uppercased()) {
            return unit.range.lowerBound + index
        }
        return number(text).flatMap { unit.range.contains($0) ? $0 : nil }
    }

    /// Parses up to four decimal digits, without a sign.
    private static func number(_ text: Substring) -> Int? {
        guard text.utf8.count <= 4, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }

    private static func invalid(_ part: Substring, _ unit: Unit) -> JobsError {
        let names = unit.names.isEmpty ? "" : " or \(unit.names[0])-\(unit.names.last!)"
        return JobsError(
            .invalidOption,
            "invalid \(unit.name) '\(part)' in a cron expression: expected *, values, ranges and steps "
                + "of \(unit.range.lowerBound)-\(unit.range.upperBound)\(names)")
    }
}
