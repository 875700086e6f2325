import Foundation
import TestKit
import Testing

@Suite struct `The demo` {
    @Test func `counts every play and says so in one JSON object`() throws {
        let demo = try BuiltProcess(["demo", "--tcp-address=127.0.0.1:0", "--json"])
        let status = demo.status()
        let lines = demo.lines(of: .standardOutput)
        try #require(lines.count == 1, "\(lines) \(demo.lines(of: .standardError))")
        let verdict = try JSONDecoder().decode(VerdictJSON.self, from: Data(lines[0].utf8))
        // How soon is a matter of the machine, which tests share with others; how right is not.
        let broken = verdict.rules.filter { !$0.holds && !$0.rule.contains("are published within") }
        #expect(broken.isEmpty)
        #expect(verdict.plays_produced == 100_000)
        #expect(verdict.plays_counted == 100_000)
        #expect(verdict.plays_rejected == 0)
        #expect(verdict.videos == 100)
        #expect(verdict.calls_ratio <= 1.05)
        #expect(verdict.calls_ratio >= 1 && verdict.calls >= verdict.planner_calls)
        #expect(verdict.immediate_plays + verdict.batched_plays == 100_000)
        #expect(verdict.broker == "embedded")
        #expect((status == 0) == (verdict.verdict == "pass"))
    }

    @Test
    func `says how to watch it, and shows progress in plain lines where there is no terminal`()
        throws
    {
        let demo = try BuiltProcess([
            "demo", "--tcp-address=127.0.0.1:0", "--plays=2000", "--videos=50",
        ])
        _ = demo.status()
        let said = demo.lines(of: .standardError)
        #expect(said.contains { $0.contains("nsq_tail --nsqd-tcp-address=127.0.0.1:") })
        #expect(said.contains { $0.contains("counted 2000 of 2000") })
        #expect(!said.contains { $0.contains("\u{1b}") })
    }

    @Test(arguments: ["--store=FOLDER/counts.sqlite", "--data-path=FOLDER"])
    func `goes on counting in a store that it is given again`(option: String) throws {
        let folder = try TemporaryFolder()
        for run in 1...2 {
            let demo = try BuiltProcess([
                "demo", "--tcp-address=127.0.0.1:0", "--json", "--plays=3000",
                option.replacing("FOLDER", with: folder.url.path),
            ])
            _ = demo.status()
            let line = try #require(demo.lines(of: .standardOutput).first)
            let verdict = try JSONDecoder().decode(VerdictJSON.self, from: Data(line.utf8))
            #expect(verdict.plays_counted == 3_000, "run \(run)")
        }
    }

    @Test func `ends without a verdict when it is interrupted`() throws {
        let demo = try BuiltProcess(["demo", "--tcp-address=127.0.0.1:0", "--rate=1000"])
        _ = try #require(demo.line(containing: "nsq_tail"))
        demo.send(SIGINT)
        #expect(demo.status() == 130)
        #expect(demo.lines(of: .standardOutput).isEmpty)
    }

    @Test func `runs through a broker that runs already`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let demo = try BuiltProcess([
            "demo", "--nsqd-tcp-address=\(address)", "--json", "--plays=5000",
        ])
        _ = demo.status()
        let line = try #require(demo.lines(of: .standardOutput).first)
        let verdict = try JSONDecoder().decode(VerdictJSON.self, from: Data(line.utf8))
        #expect(verdict.plays_counted == 5_000)
        #expect(verdict.broker == address)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}

/// The verdict's JSON, by the names that scripts rely on.
struct VerdictJSON: Decodable {
    struct Rule: Decodable {
        var rule: String
        var holds: Bool
        var detail: String
    }

    var verdict: String
    var rules: [Rule]
    var plays_produced: Int
    var plays_counted: Int
    var plays_rejected: Int
    var videos: Int
    var seconds: Double
    var plays_per_second: Double
    var calls: Int
    var planner_calls: Int
    var calls_ratio: Double
    var immediate_plays: Int
    var batched_plays: Int
    var worst_immediate_ms: Double
    var worst_batched_ms: Double
    var broker: String
}
