import Foundation
import PlayCounts
import TestKit
import Testing

@Suite struct `The store` {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func `remembers counts and what was published of them`() async throws {
        var store = try PlayStore(.file(folder.path("counts.sqlite")))
        #expect(try store.load() == [])
        try await store.commit([change(1, count: 3), change(2, count: 500)])
        try await store.commit(
            [change(1, count: 4)], published: [PlayCount(of: video(1), 3)])
        try store.close()

        store = try PlayStore(.file(folder.path("counts.sqlite")))
        #expect(
            try Set(store.load()) == [
                PlayStore.StoredCount(of: video(1), 4, published: 3),
                PlayStore.StoredCount(of: video(2), 500, published: 0),
            ])
        try store.close()
    }

    @Test func `that is temporary is gone with whoever had it`() throws {
        let folder = try TemporaryFolder()
        var store: PlayStore? = try PlayStore(.temporary(in: folder.url))
        let path = try #require(store?.path)
        #expect(path.hasPrefix(folder.url.path) && FileManager.default.fileExists(atPath: path))
        store = nil
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == [])
    }

    @Test(arguments: Seeds.all)
    func `holds after any batches what they add up to`(seed: UInt64) async throws {
        var generator = SplitMix64(seed: seed)
        var tally = Tally()
        let store = try PlayStore(.temporary())
        var marks: [PlayCount] = []
        for _ in 0..<40 {
            for _ in 0..<generator.next(below: 200) {
                tally.count(Play(of: video(generator.next(below: 50))), arrival: .start)
            }
            let changes = tally.takeChanges()
            try await store.commit(changes, published: marks)
            marks = changes.map { PlayCount(of: $0.videoID, $0.count) }
        }
        let stored = try store.load()
        #expect(stored.count == tally.videos, Seeds.again(seed))
        for count in stored {
            #expect(count.count == tally.count(of: count.videoID), Seeds.again(seed))
            #expect(count.published <= count.count, Seeds.again(seed))
        }
        try store.close()
        #expect(!FileManager.default.fileExists(atPath: store.path))
    }

    @Test func `commits all of a batch or nothing`() async throws {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 1)])
        await #expect(throws: StoreError.self) {
            // No plays of a video: the schema forbids it.
            try await store.commit([change(2, count: 1), change(1, count: 0)])
        }
        #expect(try store.load().map(\.videoID) == [video(1)])
        try await store.commit([change(3, count: 1), change(2, count: 1)])
        #expect(try Set(store.load().map(\.videoID)) == [video(1), video(2), video(3)])
    }

    @Test func `gives every video one row, after a failure and a new start too`() async throws {
        let path = folder.path("counts.sqlite")
        for round in 1...3 {
            let store = try PlayStore(.file(path))
            try? await store.commit([change(9 * round, count: round), change(0, count: 0)])
            try await store.commit((0...round).map { change($0, count: round) })
            #expect(try store.load().count == round + 1)
            try store.close()
        }
    }

    @Test func `can be opened after one that was killed while it opened it`() async throws {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        try await store.commit([change(1, count: 1)])
        try store.leaveAsIfKilledAtOpening()
        try store.close()
        #expect(open(path) == nil)
        #expect(try PlayStore.look(at: path).map(\.count) == [1])
    }

    @Test func `lets no second processor in`() throws {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        #expect(open(path) == .inUse)
        try store.close()
        #expect(open(path) == nil)
    }

    @Test func `tells of a folder that is not there, and of a folder in its place`() throws {
        #expect(open(folder.path("no/counts.sqlite")) == .cannotOpen)
        let path = folder.path("folder")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(open(path) == .cannotOpen)
    }

    @Test func `leaves a file alone that is no database`() throws {
        let path = folder.path("letter.txt")
        let letter = Data(String(repeating: "Dear Sir or Madam, ", count: 100).utf8)
        try letter.write(to: URL(filePath: path))
        #expect(open(path) == .notAStore)
        #expect(try Data(contentsOf: URL(filePath: path)) == letter)
    }

    @Test func `leaves a database alone that is not its own`() throws {
        let path = folder.path("other.sqlite")
        open(path)
        // SQLite's file format: the application's mark is at 68.
        let other = try edit(path) { $0.replaceSubrange(68..<72, with: [0, 0, 0, 1]) }
        #expect(open(path) == .notAStore)
        #expect(try Data(contentsOf: URL(filePath: path)) == other)
    }

    @Test func `leaves a store alone that a newer tally wrote`() throws {
        let path = folder.path("counts.sqlite")
        open(path)
        let newer = try edit(path) { data in
            while let mark = data.firstRange(of: Data("1: counts".utf8)) {
                data.replaceSubrange(mark, with: Data("9: counts".utf8))
            }
        }
        #expect(open(path) == .newerVersion)
        #expect(try Data(contentsOf: URL(filePath: path)) == newer)
    }

    @Test(.enabled(if: getuid() != 0, "root may write anything"))
    func `tells of a file that it may not write`() throws {
        let path = folder.path("counts.sqlite")
        open(path)
        try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: path)
        #expect(open(path) == .readOnly)
    }

    @Test func `tells of a full disk, and goes on from the last commit`() async throws {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        try await store.commit([change(0, count: 1)])
        try store.limitPages(to: 16)
        let error = await #expect(throws: StoreError.self) {
            try await store.commit((0..<10_000).map { change($0, count: 2) })
        }
        #expect(error?.kind == .full)
        #expect(try store.load().map(\.count) == [1])
        try store.close()
    }

    @Test func `can be looked at while it is in use, and after`() async throws {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        try await store.commit([change(1, count: 7)])
        #expect(try PlayStore.look(at: path) == [.init(of: video(1), 7, published: 0)])
        try await store.commit([change(1, count: 8)], published: [PlayCount(of: video(1), 7)])
        #expect(try PlayStore.look(at: path) == [.init(of: video(1), 8, published: 7)])
        try store.close()
        #expect(try PlayStore.look(at: path) == [.init(of: video(1), 8, published: 7)])
    }

    @Test func `is not made by looking, and nothing else is taken for one`() throws {
        func look(_ name: String) -> StoreError.Kind? {
            #expect(throws: StoreError.self) { try PlayStore.look(at: folder.path(name)) }?.kind
        }
        #expect(look("nothing.sqlite") == .missing)
        #expect(!FileManager.default.fileExists(atPath: folder.path("nothing.sqlite")))
        try Data().write(to: URL(filePath: folder.path("empty.sqlite")))
        #expect(look("empty.sqlite") == .notAStore)
        try Data("Dear Sir or Madam, ".utf8).write(to: URL(filePath: folder.path("letter.txt")))
        #expect(look("letter.txt") == .notAStore)
    }

    @Test func `says in every error what can be done`() {
        let kinds: [StoreError.Kind] = [
            .newerVersion, .readOnly, .notAStore, .inUse, .full, .cannotOpen, .missing, .damaged,
        ]
        for kind in kinds {
            let line = StoreError(kind, path: "counts.sqlite").description
            #expect(line.contains("counts.sqlite") && line.contains(":"))
            #expect(!line.contains("\n"))
        }
    }

    /// Opens and closes again: `nil`, or what went wrong.
    @discardableResult
    private func open(_ path: String) -> StoreError.Kind? {
        do {
            try PlayStore(.file(path)).close()
            return nil
        } catch {
            return error.kind
        }
    }

    /// Changes a store behind its back.
    private func edit(_ path: String, _ change: (inout Data) -> Void) throws -> Data {
        var data = try Data(contentsOf: URL(filePath: path))
        change(&data)
        try data.write(to: URL(filePath: path))
        return data
    }
}

extension PlayStore {
    /// Commits, with what the only client took, and waits for it.
    func commit(
        _ changes: [CountChange], counted: CountedPlays.Addition? = nil,
        published: [PlayCount] = []
    ) async throws {
        let marks = published.isEmpty ? [:] : [try serve(["stage"])["stage"]!: published]
        try await withCheckedThrowingContinuation { continuation in
            commit(changes, counted: counted, published: marks) {
                continuation.resume(with: $0)
            }
        }
    }
}

extension TemporaryFolder {
    /// - Returns: the path of a copy of a store that an earlier version wrote.
    func copy(ofStore name: String) throws -> String {
        let fixture = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Fixtures/stores/\(name).sqlite").standardized
        let path = self.path("counts.sqlite")
        try FileManager.default.copyItem(atPath: fixture.path, toPath: path)
        return path
    }
}
