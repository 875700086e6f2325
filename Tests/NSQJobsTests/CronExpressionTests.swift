import Foundation
import NSQJobs
import TallyBasics
import TestKit
import Testing

@Suite struct `A cron expression` {
    @Test(arguments: [
        ("* * * * *", "2024-01-01T00:00:30Z", "2024-01-01T00:01:00Z"),
        ("*/15 * * * *", "2024-01-01T00:15:00Z", "2024-01-01T00:30:00Z"),
        ("5/20 * * * *", "2024-01-01T00:26:00Z", "2024-01-01T00:45:00Z"),
        ("0 0 29 2 *", "2024-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 *", "2097-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("30 4 1,15 * 5", "2024-01-01T04:30:00Z", "2024-01-05T04:30:00Z"),
        ("0 12 * * MON-FRI", "2024-01-05T12:00:00Z", "2024-01-08T12:00:00Z"),
        ("0 0 * * 7", "2024-01-01T00:00:00Z", "2024-01-07T00:00:00Z"),
        ("0 0 * jul,Dec sun", "2024-01-01T00:00:00Z", "2024-07-07T00:00:00Z"),
        ("0 22 31 12 *", "2023-12-31T22:00:00Z", "2024-12-31T22:00:00Z"),
        ("@hourly", "1969-12-31T23:30:00Z", "1970-01-01T00:00:00Z"),
        ("@weekly", "2024-02-28T00:00:00Z", "2024-03-03T00:00:00Z"),
        ("@yearly", "2024-02-28T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("10-20/5,58 3 * * *", "2024-01-01T03:20:00Z", "2024-01-01T03:58:00Z"),
    ])
    func `fires at known times`(_ text: String, _ after: String, _ expected: String) throws {
        #expect(try next(text, "GMT", after) == expected)
    }

    @Test(arguments: [
        // New York skips 02:00 to 03:00 at 07:00Z, and repeats 01:00 to 02:00 at 06:00Z.
        ("30 2 * * *", "America/New_York", "2024-03-10T00:00:00Z", "2024-03-10T07:00:00Z"),
        ("*/10 2 * * *", "America/New_York", "2024-03-10T07:00:00Z", "2024-03-11T06:00:00Z"),
        ("30 * * * *", "America/New_York", "2024-03-10T06:30:00Z", "2024-03-10T07:30:00Z"),
        ("30 1 * * *", "America/New_York", "2024-11-03T00:00:00Z", "2024-11-03T05:30:00Z"),
        ("30 1 * * *", "America/New_York", "2024-11-03T05:30:00Z", "2024-11-04T06:30:00Z"),
        ("30 * * * *", "America/New_York", "2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2024-03-31T00:00:00Z", "2024-03-31T01:00:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2024-10-26T22:00:00Z", "2024-10-27T00:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2024-10-27T00:30:00Z", "2024-10-28T01:30:00Z"),
        // Lord Howe Island moves its clocks by half an hour: it skips 02:00 to 02:30 at 15:30Z.
        ("15 2 * * *", "Australia/Lord_Howe", "2024-10-05T14:00:00Z", "2024-10-05T15:30:00Z"),
        ("45 2 * * *", "Australia/Lord_Howe", "2024-10-05T14:00:00Z", "2024-10-05T15:45:00Z"),
        // Samoa skipped December 30, 2011 at 10:00Z.
        ("0 12 30 * *", "Pacific/Apia", "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z"),
        ("0 0 * * *", "Asia/Kolkata", "2024-01-01T00:00:00Z", "2024-01-01T18:30:00Z"),
    ])
    func `fires at known times around changes of the clock`(
        _ text: String, _ zone: String, _ after: String, _ expected: String
    ) throws {
        #expect(try next(text, zone, after) == expected)
    }

    @Test func `fires at the times that a search minute by minute finds`() throws {
        var generator = SeededGenerator()
        let zones = ["GMT", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]
        for _ in 0..<60 {
            let zone = try #require(
                TimeZone(identifier: zones.randomElement(using: &generator)!))
            // The expressions match every hour, because only then the search below has the same rules
            // for skipped and repeated times.
            let minute = Int.random(in: 0...59, using: &generator)
            let day = ["*", "1-7", "*/9"].randomElement(using: &generator)!
            let weekday = ["*", "SUN", "2,6"].randomElement(using: &generator)!
            let text = "\(minute) * \(day) * \(weekday)"
            let expression = try CronExpression(text, timeZone: zone)
            let start = Int.random(in: 28_500_000...28_900_000, using: &generator)
            let found = expression.next(after: JobTime(microseconds: Int64(start) * 60_000_000))
                .map { Int($0.microseconds / 60_000_000) }
            let searched = start + 1..<start + 60 * 24 * 40
            let expected = searched.first { minutes in
                isSelected(minutes, zone, minute: minute, day: day, weekday: weekday)
            }
            #expect(
                expected.map { $0 == found } ?? ((found ?? 0) >= searched.upperBound),
                "\(text) \(zone.identifier): \(generator.repetition(of: "CronExpressionTests"))")
        }
    }

    @Test(arguments: [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
        "* * * 13 * ", "* * * * 8", "a * * * *", "1- * * * *", "5-1 * * * *", "*/0 * * * *",
        "1,, * * * *", "-1 * * * *", "+1 * * * *", "1/x * * * *", "* * * JANUARY *", "@never",
        "99999999999999999999 * * * *", "*/99999999999999999999 * * * *", "0 0 30 2 *",
        "0 0 31 4,6 *",
    ])
    func `is refused if it is not valid or never fires`(_ text: String) {
        let error = #expect(throws: JobsError.self) { try CronExpression(text) }
        #expect(error?.code == .invalidOption && error?.reason.contains("cron") == true)
    }

    @Test func `has no next time at the end of the calendar`() throws {
        let expression = try CronExpression("* * * * *")
        #expect(expression.next(after: JobTime(microseconds: .max)) == nil)
        #expect(expression.next(after: JobTime(microseconds: .min)) == nil)
    }

    private func next(_ text: String, _ zone: String, _ after: String) throws -> String? {
        let zone = try #require(TimeZone(identifier: zone))
        let date = try Date(after, strategy: .iso8601)
        let next = try CronExpression(text, timeZone: zone).next(after: JobTime(date))
        return next?.date.formatted(.iso8601)
    }

    private func isSelected(
        _ minutes: Int, _ zone: TimeZone, minute: Int, day: String, weekday: String
    ) -> Bool {
        let date = Date(timeIntervalSince1970: Double(minutes) * 60)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        guard calendar.component(.minute, from: date) == minute else { return false }
        let number = calendar.component(.day, from: date)
        let isDay = day == "*" || (day == "1-7" ? number <= 7 : number % 9 == 1)
        let name = calendar.component(.weekday, from: date) - 1
        let isWeekday = weekday == "*" || (weekday == "SUN" ? name == 0 : [2, 6].contains(name))
        return day.hasPrefix("*") || weekday == "*" ? isDay && isWeekday : isDay || isWeekday
    }
}
