import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The demo` {
    @Test func `counts every play and prints one JSON object`() throws {
        let demo = try BuiltProcess(["demo", "--tcp-address=127.0.0.1:0", "--json"])
        let status = demo.status()
        let lines = demo.lines(of: .standardOutput)
        try #require(lines.count == 1, "\(lines) \(demo.lines(of: .standardError))")
        let verdict = try VerdictJSON(json: lines[0].utf8)
        #expect(verdict.rules.filter { !$0.holds }.isEmpty)
        #expect(verdict.plays_produced == 100_000)
        #expect(verdict.plays_counted == 100_000)
        #expect(verdict.plays_rejected == 0)
        #expect(verdict.videos == 100)
        #expect(verdict.calls_ratio <= 1.05)
        #expect(verdict.calls_ratio >= 1 && verdict.calls >= verdict.planner_calls)
        #expect(verdict.immediate_plays + verdict.batched_plays == 100_000)
        #expect(verdict.broker == "embedded")
        #expect(status == 0 && verdict.verdict == "pass")
    }

    @Test
    func `prints how to watch it and its progress as plain lines without a terminal`()
        throws
    {
        let demo = try BuiltProcess([
            "demo", "--tcp-address=127.0.0.1:0", "--plays=2000", "--videos=50",
        ])
        _ = demo.status()
        let printed = demo.lines(of: .standardError)
        #expect(printed.contains { $0.contains("nsq_tail --nsqd-tcp-address=127.0.0.1:") })
        #expect(printed.contains { $0.contains("counted 2000 of 2000") })
        #expect(!printed.contains { $0.contains("\u{1b}") })
    }

    @Test(arguments: ["--store=FOLDER/counts.sqlite", "--data-path=FOLDER"])
    func `adds to the counts of an existing store`(option: String) throws {
        let folder = try TemporaryFolder()
        for run in 1...2 {
            let demo = try BuiltProcess([
                "demo", "--tcp-address=127.0.0.1:0", "--json", "--plays=3000",
                option.replacing("FOLDER", with: folder.url.path),
            ])
            _ = demo.status()
            let line = try #require(demo.lines(of: .standardOutput).first)
            let verdict = try VerdictJSON(json: line.utf8)
            #expect(verdict.plays_counted == 3_000, "run \(run)")
        }
    }

    @Test func `exits without a verdict when it is interrupted`() throws {
        let demo = try BuiltProcess(["demo", "--tcp-address=127.0.0.1:0", "--rate=1000"])
        _ = try #require(demo.line(containing: "nsq_tail"))
        demo.send(SIGINT)
        #expect(demo.status() == 130)
        #expect(demo.lines(of: .standardOutput).isEmpty)
    }

    @Test func `uses a broker that is already running`() throws {
        let (broker, address) = try BuiltProcess.broker()
        let demo = try BuiltProcess([
            "demo", "--nsqd-tcp-address=\(address)", "--json", "--plays=5000",
        ])
        _ = demo.status()
        let line = try #require(demo.lines(of: .standardOutput).first)
        let verdict = try VerdictJSON(json: line.utf8)
        #expect(verdict.plays_counted == 5_000)
        #expect(verdict.broker == address)
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test func `subscribes before it publishes, so that an existing channel takes no play from it`()
        throws
    {
        let (broker, address) = try BuiltProcess.broker()
        let tail = try BlockingClient(connectingTo: address)
        #expect(try tail.ask("SUB plays tail") == "OK")
        let demo = try BuiltProcess([
            "demo", "--nsqd-tcp-address=\(address)", "--json", "--plays=3000",
        ])
        #expect(demo.status() == 0, "\(demo.lines(of: .standardOutput))")
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    @Test func `fails with the reason if it makes no progress`() throws {
        let (broker, address) = try BuiltProcess.broker()
        // Another consumer of the channel receives plays and does not finish them.
        let other = try BlockingClient(connectingTo: address)
        #expect(try other.ask("SUB plays counts") == "OK")
        try other.send(Array("RDY 100\n".utf8))
        let demo = try BuiltProcess([
            "demo", "--nsqd-tcp-address=\(address)", "--json", "--plays=3000",
            "--max-standstill=3s",
        ])
        #expect(demo.status() == 1)
        let line = try #require(demo.lines(of: .standardOutput).first)
        let verdict = try VerdictJSON(json: line.utf8)
        #expect(verdict.verdict == "fail")
        #expect(verdict.rules.last?.holds == false)
        let reason = verdict.rules.last?.detail ?? ""
        #expect(reason.contains("3000 plays sent, 3000 acknowledged by nsqd"), "\(reason)")
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }
}

/// The verdict's JSON keys, which scripts rely on.
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
