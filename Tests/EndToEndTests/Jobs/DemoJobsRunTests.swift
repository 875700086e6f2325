import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The demo of background jobs` {
    private struct Verdict: Decodable {
        struct Rule: Decodable {
            var rule: String
            var holds: Bool
            var detail: String
        }
        var verdict: String
        var rules: [Rule]
        var jobs: Int
        var starts: Int
    }

    @Test func `satisfies all rules, and prints one JSON object`() throws {
        let demo = try BuiltProcess(["demo", "--jobs", "--tcp-address=127.0.0.1:0", "--json"])
        let status = demo.status()
        let lines = demo.lines(of: .standardOutput)
        try #require(lines.count == 1, "\(lines) \(demo.lines(of: .standardError))")
        let verdict = try Verdict(json: lines[0].utf8)
        #expect(verdict.rules.filter { !$0.holds }.map { "\($0.rule): \($0.detail)" } == [])
        // The schedule has another tick if a minute ends at the start.
        let ticks = verdict.jobs - 20_000
        #expect(verdict.rules.count == 10 && (10...11).contains(ticks))
        #expect(verdict.starts == 21_400 + ticks && verdict.verdict == "pass" && status == 0)
    }

    @Test func `ends without a verdict when it is interrupted, and leaves no program behind`()
        throws
    {
        let folder = try TemporaryFolder()
        let demo = try BuiltProcess(
            ["demo", "--jobs", "--tcp-address=127.0.0.1:0"],
            environment: ["TMPDIR": folder.url.path], directory: folder.url)
        #expect(demo.line(containing: "stored 20000 of 20000") != nil)
        demo.send(SIGINT)
        #expect(demo.status() == 130)
        #expect(demo.lines(of: .standardOutput).isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
    }

    @Test func `does not combine with the options of plays`() throws {
        let demo = try BuiltProcess(["demo", "--jobs", "--live"])
        #expect(demo.status() == 64)
        #expect(demo.lines(of: .standardError).joined().contains("--jobs cannot be combined"))
    }
}
