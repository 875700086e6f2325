import Foundation
import TestKit
import TestTraits
import Testing

/// See `Fixtures/journal/README.md`. A version that cannot read these cannot read existing data paths.
@Suite(.blocking) struct `A journal of version 1` {
    private let folder: TemporaryFolder
    private var dataPath: String { folder.path("messages") }

    init() throws {
        folder = try TemporaryFolder()
        let fixture = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Fixtures/journal/v1").standardized
        try FileManager.default.copyItem(at: fixture, to: URL(filePath: dataPath))
    }

    private struct Report: Decodable, Equatable {
        var healthy: Bool
        var records: Int
        var messages: Int
        var topics: [Topic]

        struct Topic: Decodable, Equatable {
            var name: String
            var paused = false
            var depth = 0
            var channels: [Channel] = []
        }

        struct Channel: Decodable, Equatable {
            var name: String
            var paused = false
            var depth = 0
            var deliveredBefore = 0
            var deferred = 0
        }
    }

    private func examine() throws -> Report {
        let doctor = try BuiltProcess(["doctor", dataPath, "--json"])
        #expect(doctor.status() == 0)
        let text = doctor.lines(of: .standardOutput).joined()
        return try Report(json: text.utf8, keys: .convertFromSnakeCase)
    }

    @Test func `is healthy and complete according to tally doctor`() throws {
        #expect(
            try examine()
                == Report(
                    healthy: true, records: 76, messages: 30,
                    topics: [
                        .init(name: "cleared", depth: 1),
                        .init(
                            name: "late", channels: [.init(name: "all", depth: 1, deferred: 1)]),
                        .init(name: "later", depth: 1),
                        .init(name: "lonely", depth: 3),
                        .init(
                            name: "moving",
                            channels: [
                                .init(name: "all", depth: 1, deliveredBefore: 1, deferred: 1)
                            ]),
                        .init(
                            name: "orders",
                            channels: [
                                .init(name: "billing", depth: 9, deliveredBefore: 3, deferred: 1),
                                .init(name: "emptied", depth: 1),
                                .init(name: "mailing", paused: true, depth: 13),
                            ]),
                        .init(
                            name: "parked", paused: true, depth: 3,
                            channels: [.init(name: "all", depth: 1)]),
                        .init(name: "shown"),
                    ]))
    }

    @Test func `delivers exactly its unfinished messages in a broker`() throws {
        let (process, address) = try BuiltProcess.broker(["--data-path=\(dataPath)"])
        let billing = try consumeAll(address, "orders", "billing", 9)
        #expect(
            billing.map(\.body).sorted()
                == ([4, 5, 6] + Array(8...13)).map { "order \($0)" }.sorted())
        let again = billing.filter { $0.attempts == 2 }.map(\.body)
        #expect(again.sorted() == ["order 4", "order 5", "order 6"])
        #expect(billing.filter { $0.attempts == 1 }.count == 6)
        #expect(
            billing.first { $0.body == "order 13" }?.timestampNanoseconds
                == 1_795_260_649_204_145_973)

        #expect(try consumeAll(address, "orders", "emptied", 1).map(\.body) == ["order 13"])
        #expect(try consumeAll(address, "parked", "all", 1).map(\.body) == ["before the pause"])
        #expect(try consumeAll(address, "late", "all", 1).map(\.body) == ["long ago"])
        let kept = try consumeAll(address, "moving", "all", 1)
        #expect(kept.map(\.body) == ["kept"])
        #expect(kept.map(\.attempts) == [2])
        let all = String(String.UnicodeScalarView((0...255).map { Unicode.Scalar(UInt8($0)) }))
        let bytes = String(decoding: all.unicodeScalars.map { UInt8($0.value) }, as: UTF8.self)
        #expect(
            try consumeAll(address, "lonely", "new", 3).map(\.body)
                == ["lonely 1", "two\nlines", bytes])
        #expect(try consumeAll(address, "cleared", "new", 1).map(\.body) == ["cleared 3"])
        #expect(try consumeAll(address, "later", "new", 0).isEmpty)
        #expect(try consumeAll(address, "shown", "new", 0).isEmpty)
        process.send(SIGTERM)
        #expect(process.status() == 0)
        try expectRest()
    }

    /// Excludes paused channels and a message that is deferred for a century.
    private func expectRest() throws {
        let left = try examine()
        #expect(left.healthy)
        let orders = left.topics.first { $0.name == "orders" }
        #expect(
            orders?.channels == [
                .init(name: "billing", deferred: 1), .init(name: "emptied"),
                .init(name: "mailing", paused: true, depth: 13),
            ])
        let parked = left.topics.first { $0.name == "parked" }
        #expect(parked?.paused == true)
        #expect(parked?.depth == 3)
        let waiting = left.topics.filter { ["late", "later", "moving"].contains($0.name) }
        #expect(waiting.map { $0.channels.first?.deferred } == [1, 1, 1])
    }
}
