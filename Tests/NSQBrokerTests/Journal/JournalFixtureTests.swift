import Foundation
import Testing

@testable import NSQBroker

/// See `Fixtures/journal/README.md`; that a broker delivers what they hold is an end-to-end test.
@Suite struct `The fixtures of the journal` {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../Fixtures/journal").standardized

    @Test func `have one for each version up to this one's`() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        let versions = (1...JournalFormat.version).map { "v\($0)" }
        #expect(Set(names).isSuperset(of: versions))
    }

    @Test func `hold every kind of record`() throws {
        let disk = MemoryDisk()
        let folder = Self.folder.appending(component: "v1")
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            let number = try #require(JournalFile.number(in: name))
            disk.contents[number] = Array(
                try Data(contentsOf: folder.appending(component: name)))
        }
        let kinds: [RecordKind] = [
            .topics, .published, .deferred, .moved, .movedDeferred, .topicCreated, .topicDeleted,
            .topicPaused, .topicEmptied, .handedOver, .topicHeld, .topicStarted, .channelCreated,
            .channelDeleted, .channelPaused, .channelEmptied, .finished, .delivered, .returned,
        ]
        for kind in kinds {
            let places = try disk.contents.keys.flatMap { try disk.places(of: kind, in: $0) }
            #expect(!places.isEmpty, "\(kind)")
        }
    }
}
