import Foundation
import TestKit
import Testing

@Suite struct `Plays of a file` {
    /// The fixture's plays go through `tally nsqd`, `tally produce` and `tally process`, three
    /// processes, and come out as the counts that stand beside them.
    @Test func `come out as the counts they must give`() throws {
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.listening(["nsqd", "--tcp-address=127.0.0.1:0"])
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--file=\(fixture("plays.jsonl"))",
        ])
        #expect(producer.status() == 0)
        let processor = try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--store=\(folder.path("counts.sqlite"))",
        ])
        let expected = try JSONDecoder().decode(
            ExpectedCounts.self, from: Data(contentsOf: URL(filePath: fixture("expected.json"))))
        for (video, count) in expected.counts {
            let entry = "{\"video_id\":\"\(video)\",\"play_count\":\(count)}"
            #expect(processor.line(containing: entry, of: .standardOutput) != nil, "\(entry)")
        }
        processor.send(SIGTERM)
        #expect(processor.status() == 0)
        #expect(
            processor.lines(of: .standardError).filter { $0.contains("rejected:") }.count
                == expected.rejected.values.reduce(0, +))
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    private func fixture(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Fixtures/plays/\(name)").path
    }
}

private struct ExpectedCounts: Decodable {
    var counts: [String: Int]
    var rejected: [String: Int]
}
