import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking, .serialized, .timeLimit(.minutes(15))) struct `The memory of tally serve` {
    /// A million videos fit into 300 MiB, with broker and page: each takes 190 bytes, or 220 with the
    /// page. With the 100,000 videos of this test, each takes 336 or 406 bytes, because tables grow in
    /// steps.
    @Test(arguments: [("none", 400), ("127.0.0.1:0", 500)])
    func `grows by less than 500 bytes per video`(page: String, mostBytes: Int) throws {
        let folder = try TemporaryFolder()
        let store = folder.path("counts.sqlite")
        let (serve, address) = try BuiltProcess.listening([
            "serve", "--tcp-address=127.0.0.1:0", "--store=\(store)", "--page-address=\(page)",
        ])
        #expect(serve.line(containing: "counting plays") != nil)
        let before = try #require(try peakBytes(of: serve))
        let videos = 100_000
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--plays=\(videos)", "--videos=\(videos)",
        ])
        #expect(producer.status() == 0)
        let all = "\(videos) videos, \(videos) plays"
        #expect(
            try eventually {
                let look = try BuiltProcess(["counts", "--store=\(store)", "--top=1"])
                return look.line(containing: all, of: .standardOutput) != nil
            })
        let after = try #require(try peakBytes(of: serve))
        #expect((after - before) / videos < mostBytes, "\(before) bytes, and then \(after)")
        serve.send(SIGTERM)
        #expect(serve.status() == 0)
    }

    /// The peak resident memory.
    private func peakBytes(of process: BuiltProcess) throws -> Int? {
        let status = try String(
            contentsOfFile: "/proc/\(process.processID)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line?.split(separator: " ").compactMap { Int($0) }.first.map { $0 * 1_024 }
    }
}
