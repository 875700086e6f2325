import Foundation
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `Plays from a file` {
    /// Sends the fixture's plays through `tally nsqd`, `tally produce` and `tally process`.
    @Test func `produce the expected counts and rejections`() throws {
        let folder = try TemporaryFolder()
        let (broker, address) = try BuiltProcess.broker()
        let producer = try BuiltProcess([
            "produce", "--nsqd-tcp-address=\(address)", "--file=\(fixture("mixed.jsonl"))",
        ])
        #expect(producer.status() == 0)
        let processor = try BuiltProcess([
            "process", "--nsqd-tcp-address=\(address)", "--store=\(folder.path("counts.sqlite"))",
        ])
        for line in try lines("mixed.counts") {
            let words = line.split(separator: " ")
            let entry = "{\"video_id\":\"\(words[0])\",\"play_count\":\(words[1])}"
            #expect(processor.line(containing: entry, of: .standardOutput) != nil, "\(entry)")
        }
        processor.send(SIGTERM)
        #expect(processor.status() == 0)
        let rejected = processor.lines(of: .standardError).filter { $0.contains("rejected:") }
        #expect(rejected.count == (try lines("mixed.rejections").count))
        broker.send(SIGTERM)
        #expect(broker.status() == 0)
    }

    private func lines(_ name: String) throws -> [Substring] {
        try String(contentsOfFile: fixture(name), encoding: .utf8).split(separator: "\n")
    }

    private func fixture(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Fixtures/plays/\(name)").path
    }
}
