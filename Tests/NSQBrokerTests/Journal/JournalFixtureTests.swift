import Foundation
import TestTraits
import Testing

@testable import NSQBroker

/// Tests of the files in `Fixtures/journal`, which its README describes. An end-to-end test delivers
/// their messages.
@Suite(.blocking) struct `The journal fixtures` {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../Fixtures/journal").standardized

    @Test func `contain a file for each format version`() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        let versions = (1...JournalFormat.version).map { "v\($0)" }
        #expect(Set(names).isSuperset(of: versions))
    }

    @Test func `contain every kind of record`() throws {
        let disk = MemoryDisk()
        let folder = Self.folder.appending(component: "v1")
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            let number = try #require(JournalFile.number(in: name))
            disk.contents[number] = Array(
                try Data(contentsOf: folder.appending(component: name)))
        }
        let kinds: [RecordKind] = [
            .topics, .published, .deferred, .relocated, .relocatedDeferred, .topicCreated,
            .topicDeleted,
            .topicPaused, .topicEmptied, .dispatched, .topicHeld, .topicStarted, .channelCreated,
            .channelDeleted, .channelPaused, .channelEmptied, .finished, .delivered,
            .deliveriesUpdated,
        ]
        for kind in kinds {
            let places = try disk.contents.keys.flatMap { try disk.recordRanges(of: kind, in: $0) }
            #expect(!places.isEmpty, "\(kind)")
        }
    }
}
