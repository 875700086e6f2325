import Testing

@testable import tally

@Suite struct `Text in a log line` {
    @Test func `stays as it is when it has no control characters`() {
        #expect(LogText.sanitized("topic \"plays\" – größer") == "topic \"plays\" – größer")
    }

    @Test func `shows control characters as escapes`() {
        #expect(
            LogText.sanitized("a\nb\r\tc\u{1b}[31m\u{7f}\0") == "a\\nb\\r\\tc\\x1b[31m\\x7f\\x00")
    }

    @Test func `is cut at its bound and says how long it was`() {
        let atBound = String(repeating: "x", count: LogText.maxBytes)
        #expect(LogText.sanitized(atBound) == atBound)
        #expect(LogText.sanitized(atBound + "y") == "\(atBound)… (\(LogText.maxBytes + 1) bytes)")
    }
}
