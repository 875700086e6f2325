import Foundation

/// The times of a cron expression in a time zone.
///
/// An expression has five fields: minute, hour, day of month, month, day of week. A field is `*`, or a list
/// of values, ranges `1-5` and steps `*/10`, `0-30/5`, `5/15`. Months and days of the week can be names,
/// and 0 and 7 are Sunday. If the day of month and the day of week are both restricted, a day that fulfils
/// one of them is enough. `@yearly`, `@monthly`, `@weekly`, `@daily` and `@hourly` are expressions too.
///
/// When the offset of the time zone changes:
/// - With restricted hours, a time that the change skips fires once, at the first moment after the
///   change. A time that occurs twice fires the first time only.
/// - With `*` for the hours, a skipped time does not fire, and a time that occurs twice fires both
///   times.
public struct CronExpression: Hashable, Sendable {
    /// The expression.
    public let text: String
    /// The time zone of its hours and days.
    public let timeZone: TimeZone

    private let minutes: CronField
    private let hours: CronField
    private let days: CronField
    private let months: CronField
    private let weekdays: CronField

    private static let names = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    ]

    /// The number of days that are searched for the next time: 41 years. Within 40 years, February 29
    /// falls on each day of the week.
    private static let searchedDays = 366 * 41

    /// Parses an expression.
    ///
    /// - Parameters:
    ///   - text: five fields, or a name such as `@daily`.
    ///   - timeZone: the time zone of its hours and days; UTC by default.
    /// - Throws: ``JobsError/Code/invalidOption``, also for an expression that never fires, such as
    ///   February 30.
    public init(_ text: String, timeZone: TimeZone = .gmt) throws(JobsError) {
        let fields = (Self.names[text.lowercased()] ?? text).split { $0 == " " || $0 == "\t" }
        guard fields.count == 5 else {
            throw JobsError(
                .invalidOption,
                "invalid cron expression '\(text)': expected 5 fields (minute, hour, day of month, "
                    + "month, day of week), found \(fields.count)")
        }
        self.text = text
        self.timeZone = timeZone
        minutes = try CronField(fields[0], .minute)
        hours = try CronField(fields[1], .hour)
        days = try CronField(fields[2], .day)
        months = try CronField(fields[3], .month)
        weekdays = try CronField(fields[4], .weekday)
        guard next(after: JobTime(microseconds: 0)) != nil else {
            throw JobsError(.invalidOption, "the cron expression '\(text)' never fires")
        }
    }

    /// Returns the first time after `time`; `nil` only if `time` is outside the years that can be
    /// computed, -9999 to 9999.
    public func next(after time: JobTime) -> JobTime? {
        let seconds = Int(time.microseconds.quotient(by: 1_000_000))
        // Beyond the year 9999, time zones have no meaning.
        guard (-377_705_116_800...253_402_300_799).contains(seconds) else { return nil }
        // The search begins one day early, because the local date of a skipped or repeated time can
        // differ by a day.
        let firstDay = (seconds + utcOffset(at: seconds)).quotient(by: 86_400) - 1
        for day in firstDay..<firstDay + Self.searchedDays where isSelected(day) {
            let found = instants(onDay: day).first { $0 > seconds }
            if let found { return JobTime(microseconds: Int64(found) * 1_000_000) }
        }
        return nil
    }

    private func isSelected(_ day: Int) -> Bool {
        let date = CivilDate(daysSince1970: day)
        guard months.contains(date.month) else { return false }
        let isDay = days.contains(date.day)
        let isWeekday = weekdays.contains(CivilDate.weekday(daysSince1970: day))
        // As in Vixie cron: a wildcard does not restrict, and two restrictions are alternatives.
        return days.isWildcard || weekdays.isWildcard ? isDay && isWeekday : isDay || isWeekday
    }

    // MARK: Instants

    /// The instants of a local day in ascending order, in seconds since 1970.
    private func instants(onDay day: Int) -> [Int] {
        let midnight = day * 86_400
        let before = utcOffset(at: midnight - 86_400)
        let after = utcOffset(at: midnight + 2 * 86_400)
        var instants: [Int] = []
        for hour in 0..<24 where hours.contains(hour) {
            for minute in 0..<60 where minutes.contains(minute) {
                let local = midnight + hour * 3_600 + minute * 60
                if before == after {
                    instants.append(local - before)
                } else {
                    instants += self.instants(ofLocal: local, before, after)
                }
            }
        }
        // Instants can be out of order or occur twice only on a day on which the offset changes.
        return before == after ? instants : Set(instants).sorted()
    }

    /// The instants of a local time on a day with a change of the offset.
    private func instants(ofLocal local: Int, _ before: Int, _ after: Int) -> [Int] {
        // The larger offset gives the earlier instant.
        let found = [max(before, after), min(before, after)]
            .filter { utcOffset(at: local - $0) == $0 }.map { local - $0 }
        guard !hours.isWildcard else { return found }
        return [found.first ?? change(between: local - after, and: local - before)]
    }

    /// Finds the instant at which the offset changes.
    private func change(between start: Int, and end: Int) -> Int {
        var (low, high) = (min(start, end), max(start, end))
        let offsetAtEnd = utcOffset(at: high)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if utcOffset(at: middle) == offsetAtEnd { high = middle } else { low = middle }
        }
        return high
    }

    private func utcOffset(at seconds: Int) -> Int {
        timeZone.secondsFromGMT(for: Date(timeIntervalSince1970: TimeInterval(seconds)))
    }
}

extension BinaryInteger {
    /// The quotient, rounded down.
    fileprivate func quotient(by divisor: Self) -> Self {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
