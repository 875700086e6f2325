import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The command tally jobs bench` {
    private static let short = ["--jobs=20", "--single-jobs=2", "--concurrency=4", "--rounds=2"]

    @Test(arguments: [false, true])
    func `measures all workloads, and leaves no files`(usesOtherNSQD: Bool) throws {
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let arguments = usesOtherNSQD ? ["--nsqd-tcp-address=\(address)"] : []
        let bench = try BuiltProcess(
            ["jobs", "bench", "--json", "--folder=\(folder.url.path)"] + Self.short + arguments)
        #expect(bench.status() == 0)
        let text = bench.lines(of: .standardOutput).joined(separator: "\n")
        let figures = try [String: Double](json: text.utf8)
        #expect(
            Set(figures.keys) == [
                "enqueue", "perform", "enqueue_fleeting", "perform_fleeting", "start_p50_us",
                "start_p99_us",
            ])
        #expect(figures.values.allSatisfy { $0 > 0 })
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == [])
        broker.send(SIGINT)
        #expect(broker.status() == 0)
    }

    @Test func `ends without results when it is interrupted, and leaves no files`() throws {
        let folder = try TemporaryFolder()
        let bench = try BuiltProcess(
            ["jobs", "bench", "--jobs=10000000", "--folder=\(folder.url.path)"])
        #expect(
            try eventually {
                try FileManager.default.subpathsOfDirectory(atPath: folder.url.path)
                    .contains { $0.hasSuffix("jobs.sqlite") }
            })
        bench.send(SIGINT)
        #expect(bench.status() == 130)
        #expect(bench.lines(of: .standardOutput).isEmpty)
        #expect(bench.line(containing: "SIGINT: interrupted, no results") != nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == [])
    }

    @Test func `prints a table`() throws {
        let bench = try BuiltProcess(["jobs", "bench"] + Self.short)
        #expect(bench.status() == 0)
        #expect(bench.lines(of: .standardError) == ["round 1 of 2", "round 2 of 2"])
        let lines = bench.lines(of: .standardOutput)
        #expect(lines.count == 6)
        #expect(lines.prefix(4).allSatisfy { $0.hasSuffix("/s") })
        #expect(lines.suffix(2).allSatisfy { $0.hasSuffix(" µs") })
    }

    @Test(arguments: [
        (["--jobs=0"], 64, "--jobs must be between 1 and 10000000"),
        (["--concurrency=10001"], 64, "--concurrency must be between 1 and 10000"),
        (["--nsqd-tcp-address=nonsense"], 64, "nonsense"),
        (["--folder=/no/such/folder"], 1, "'/no/such/folder'"),
    ])
    func `explains an error`(arguments: [String], status: Int32, text: String) throws {
        let bench = try BuiltProcess(["jobs", "bench"] + arguments)
        #expect(bench.status() == status)
        #expect(bench.line(containing: text) != nil)
    }
}
