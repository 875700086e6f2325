import Logging
import NSQBroker
import TallyJSON
import Testing

@testable import tally

@Suite struct `A line of the log` {
    private let time = 1_767_225_600_000_042

    private func json(
        _ message: String, _ metadata: Logger.Metadata = [:]
    ) throws -> JSONValue {
        let line = LineLog.line(
            .json, "[nsqd] ", .warning, message, metadata, microseconds: time)
        #expect(!line.contains("\n"))
        return try JSONValue(parsingLikeGo: Array(line.utf8), keptDepth: 2)
    }

    @Test func `is an object with time, level, program and message`() throws {
        let line = LineLog.line(.json, "[nsqd] ", .info, "hello", [:], microseconds: time)
        #expect(
            line
                == #"{"time":"2026-01-01T00:00:00.000042Z","level":"info","program":"nsqd","message":"hello"}"#
        )
    }

    @Test(arguments: ["a\nb", "\"quoted\" \\ \u{1}", "\u{2028}", "ä€😀", ""])
    func `keeps any text as it is`(message: String) throws {
        #expect(try json(message)["message"] == .string(message))
    }

    @Test func `cuts a long text, and says how long it was`() throws {
        let long = String(repeating: "x", count: 1 << 20)
        guard case .string(let message)? = try json(long)["message"] else {
            Issue.record("no message")
            return
        }
        #expect(message.hasSuffix("… (1048576 bytes)"))
        #expect(message.utf8.count < 5_000)
    }

    @Test func `has the metadata of an event under names of their own`() throws {
        let line = try json("m", ["level": "x", "job": "7"])
        #expect(line["level"] == .string("warning"))
        #expect(line["metadata.level"] == .string("x"))
        #expect(line["metadata.job"] == .string("7"))
    }

    @Test func `has nsqd's form as text`() {
        let line = LineLog.line(
            .text, "[nsqd] ", .error, "a\nb", [:], microseconds: time)
        #expect(line.hasPrefix("[nsqd] 20"))
        #expect(line.hasSuffix(".000042 ERROR: a\\nb"))
    }
}
