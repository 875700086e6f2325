import Foundation
import PlayCounts
import TallyBasics
import TestKit
import TestTraits
import Testing

@Suite(.blocking) struct `The store` {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func `keeps counts and published counts`() async throws {
        var store = try PlayStore(.file(folder.path("counts.sqlite")))
        #expect(try store.loadCounts() == [])
        try await store.commit([change(1, count: 3), change(2, count: 500)])
        try await store.commit(
            [change(1, count: 4)], published: [PlayCount(of: video(1), 3)])
        try store.close()

        store = try PlayStore(.file(folder.path("counts.sqlite")))
        #expect(
            try Set(store.loadCounts()) == [
                PlayStore.StoredCount(of: video(1), 4, published: 3),
                PlayStore.StoredCount(of: video(2), 500, published: 0),
            ])
        try store.close()
    }

    @Test func `is unlocked when it is closed, even if a child process inherited its descriptors`()
        async throws
    {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        let inherited = try #require(InheritedDescriptors(of: path))
        try store.close()
        try PlayStore(.file(path)).close()
        withExtendedLifetime(inherited) {}
    }

    @Test func `notices at its opening that it has less history than before`() async throws {
        let path = folder.path("counts.sqlite")
        let backup = folder.path("backup.sqlite")
        func open(counting count: Int?) async throws -> String? {
            let store = try PlayStore(.file(path))
            if let count { try await store.commit([change(1, count: count)]) }
            try store.close()
            return store.lostHistory
        }
        #expect(try await open(counting: 300) == nil)
        try FileManager.default.copyItem(atPath: path, toPath: backup)
        #expect(try await open(counting: 500) == nil)
        #expect(try await open(counting: nil) == nil)
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.copyItem(atPath: backup, toPath: path)
        let older = try #require(try await open(counting: 310))
        #expect(older.contains("has 300 plays, and had 500 or more") && older.contains("backup"))
        #expect(try await open(counting: nil) == nil)
        try FileManager.default.removeItem(atPath: path)
        let other = try #require(try await open(counting: 1))
        #expect(other.contains("has 0 plays, and had 310") && other.contains("another store"))
        #expect(try await open(counting: nil) == nil)
    }

    @Test func `notices an older backup although it was killed before it closed`() async throws {
        let path = folder.path("counts.sqlite")
        for _ in 0..<2 { try PlayStore(.file(path)).close() }
        let backup = try Data(contentsOf: URL(filePath: path))
        // A later run that is killed leaves the note in the state in which its opening wrote it.
        let note = folder.path("counts.sqlite-history")
        let later = try PlayStore(.file(path))
        let text = try String(contentsOfFile: note, encoding: .utf8)
        try later.close()
        try text.write(toFile: note, atomically: false, encoding: .utf8)
        try backup.write(to: URL(filePath: path))
        let restored = try PlayStore(.file(path))
        #expect(restored.lostHistory != nil)
        try restored.close()
    }

    @Test func `deletes a temporary file with its object`() throws {
        let folder = try TemporaryFolder()
        var store: PlayStore? = try PlayStore(.temporary(in: folder.url))
        let path = try #require(store?.path)
        #expect(path.hasPrefix(folder.url.path) && FileManager.default.fileExists(atPath: path))
        store = nil
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == [])
    }

    @Test(arguments: Seeds.all)
    func `contains the sum of random batches`(seed: UInt64) async throws {
        var generator = SplitMix64(seed: seed)
        var counter = PlayCounter()
        let store = try PlayStore(.temporary())
        var marks: [PlayCount] = []
        for _ in 0..<40 {
            for _ in 0..<generator.next(below: 200) {
                counter.count(Play(of: video(generator.next(below: 50))), arrival: .start)
            }
            let changes = counter.removeChanges()
            try await store.commit(changes, published: marks)
            marks = changes.map { PlayCount(of: $0.videoID, $0.count) }
        }
        let stored = try store.loadCounts()
        #expect(stored.count == counter.videos, Seeds.comment(seed))
        for count in stored {
            #expect(count.count == counter.count(of: count.videoID), Seeds.comment(seed))
            #expect(count.published <= count.count, Seeds.comment(seed))
        }
        try store.close()
        #expect(!FileManager.default.fileExists(atPath: store.path))
    }

    @Test func `commits a batch as a whole or not at all`() async throws {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 1)])
        await #expect(throws: StoreError.self) {
            // The schema rejects a count of 0.
            try await store.commit([change(2, count: 1), change(1, count: 0)])
        }
        #expect(try store.loadCounts().map(\.videoID) == [video(1)])
        try await store.commit([change(3, count: 1), change(2, count: 1)])
        #expect(try Set(store.loadCounts().map(\.videoID)) == [video(1), video(2), video(3)])
    }

    @Test func `has one row for each video, even after a failure and a restart`() async throws {
        let path = folder.path("counts.sqlite")
        for round in 1...3 {
            let store = try PlayStore(.file(path))
            try? await store.commit([change(9 * round, count: round), change(0, count: 0)])
            try await store.commit((0...round).map { change($0, count: round) })
            #expect(try store.loadCounts().count == round + 1)
            try store.close()
        }
    }

    @Test func `opens after a process was killed while it opened the store`() async throws {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        try await store.commit([change(1, count: 1)])
        try store.simulateInterruptedOpening()
        try store.close()
        #expect(open(path) == nil)
        #expect(try PlayStore.readCounts(at: path).map(\.count) == [1])
    }

    @Test func `rejects a second processor`() throws {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        #expect(open(path) == .inUse)
        try store.close()
        #expect(open(path) == nil)
    }

    @Test(arguments: [false, true])
    func `rejects a second processor that uses another name of the file`(isHardLink: Bool) throws {
        let path = folder.path("counts.sqlite")
        let other = folder.path("other.sqlite")
        let store = try PlayStore(.file(path))
        if isHardLink {
            try FileManager.default.linkItem(atPath: path, toPath: other)
        } else {
            try FileManager.default.createSymbolicLink(
                atPath: other, withDestinationPath: path)
        }
        #expect(open(other) == .inUse)
        try store.close()
        #expect(open(other) == nil)
    }

    @Test func `commits no more after another processor has opened it`() async throws {
        let store = try PlayStore(.file(folder.path("counts.sqlite")))
        try await store.commit([change(1, count: 1)])
        try store.simulateTakeover()
        let error = await #expect(throws: StoreError.self) {
            try await store.commit([change(1, count: 2)])
        }
        #expect(error?.kind == .takenOver && error?.isTransient == false)
        #expect(try store.loadCounts().map(\.count) == [1])
        try store.close()
    }

    @Test(arguments: ["", "-wal"])
    func `commits nothing while one of its files is removed or replaced`(suffix: String)
        async throws
    {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        try await store.commit([change(1, count: 1)])
        let away = folder.path("away")
        try FileManager.default.moveItem(atPath: path + suffix, toPath: away)
        for replacement in [nil, Data()] {
            if let replacement { try replacement.write(to: URL(filePath: path + suffix)) }
            let error = await #expect(throws: StoreError.self) {
                try await store.commit([change(1, count: 2)])
            }
            #expect(error?.kind == .replaced && error?.isTransient == true)
        }
        try FileManager.default.removeItem(atPath: path + suffix)
        try FileManager.default.moveItem(atPath: away, toPath: path + suffix)
        try await store.commit([change(1, count: 3)])
        try store.close()
        #expect(try PlayStore.readCounts(at: path).map(\.count) == [3])
    }

    @Test func `bounds its write-ahead log after a long reader has gone`() async throws {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        func logBytes() throws -> Int {
            let attributes = try FileManager.default.attributesOfItem(atPath: path + "-wal")
            return try #require(attributes[.size] as? Int)
        }
        let reader = try PlayStore.Reader(path)
        for round in 1...90 {
            try await store.commit((0..<5_000).map { change($0, count: round) })
        }
        #expect(try logBytes() > 8 << 20)
        try reader.close()
        for round in 91...95 {
            try await store.commit((0..<5_000).map { change($0, count: round) })
        }
        #expect(try logBytes() <= 8 << 20)
        try store.close()
    }

    @Test func `reports a missing folder, and a folder at its path`() throws {
        #expect(open(folder.path("no/counts.sqlite")) == .cannotOpen)
        let path = folder.path("folder")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(open(path) == .cannotOpen)
    }

    @Test func `does not change a file that is not a database`() throws {
        let path = folder.path("letter.txt")
        let letter = Data(String(repeating: "Dear Sir or Madam, ", count: 100).utf8)
        try letter.write(to: URL(filePath: path))
        #expect(open(path) == .notAStore)
        #expect(try Data(contentsOf: URL(filePath: path)) == letter)
    }

    @Test func `does not change a database of another application`() throws {
        let path = folder.path("other.sqlite")
        open(path)
        // The application ID is at offset 68 of SQLite's file format.
        let other = try edit(path) { $0.replaceSubrange(68..<72, with: [0, 0, 0, 1]) }
        #expect(open(path) == .notAStore)
        #expect(try Data(contentsOf: URL(filePath: path)) == other)
    }

    @Test func `does not change a store of a newer version`() throws {
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
    func `reports a file without write permission`() throws {
        let path = folder.path("counts.sqlite")
        open(path)
        try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: path)
        #expect(open(path) == .readOnly)
    }

    @Test func `reports a full disk, and keeps the last commit`() async throws {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        try await store.commit([change(0, count: 1)])
        try store.limitPages(to: 16)
        let error = await #expect(throws: StoreError.self) {
            try await store.commit((0..<10_000).map { change($0, count: 2) })
        }
        #expect(error?.kind == .full)
        #expect(try store.loadCounts().map(\.count) == [1])
        try store.close()
    }

    @Test func `can be read while a processor has it open, and after`() async throws {
        let path = folder.path("counts.sqlite")
        let store = try PlayStore(.file(path))
        try await store.commit([change(1, count: 7)])
        #expect(try PlayStore.readCounts(at: path) == [.init(of: video(1), 7, published: 0)])
        try await store.commit([change(1, count: 8)], published: [PlayCount(of: video(1), 7)])
        #expect(try PlayStore.readCounts(at: path) == [.init(of: video(1), 8, published: 7)])
        try store.close()
        #expect(try PlayStore.readCounts(at: path) == [.init(of: video(1), 8, published: 7)])
    }

    @Test func `is not created by reading, which rejects other files`() throws {
        func look(_ name: String) -> StoreError.Kind? {
            #expect(throws: StoreError.self) { try PlayStore.readCounts(at: folder.path(name)) }?
                .kind
        }
        #expect(look("nothing.sqlite") == .missing)
        #expect(!FileManager.default.fileExists(atPath: folder.path("nothing.sqlite")))
        try Data().write(to: URL(filePath: folder.path("empty.sqlite")))
        #expect(look("empty.sqlite") == .notAStore)
        try Data("Dear Sir or Madam, ".utf8).write(to: URL(filePath: folder.path("letter.txt")))
        #expect(look("letter.txt") == .notAStore)
    }

    @Test func `names the path and a remedy in each error`() {
        let kinds: [StoreError.Kind] = [
            .newerVersion, .readOnly, .notAStore, .inUse, .full, .cannotOpen, .missing, .damaged,
        ]
        for kind in kinds {
            let line = StoreError(kind, path: "counts.sqlite").description
            #expect(line.contains("counts.sqlite") && line.contains(":"))
            #expect(!line.contains("\n"))
        }
    }

    /// Opens and closes a store, and returns the kind of the error.
    @discardableResult
    private func open(_ path: String) -> StoreError.Kind? {
        do {
            try PlayStore(.file(path)).close()
            return nil
        } catch {
            return error.kind
        }
    }

    /// Changes the bytes of a store's file.
    private func edit(_ path: String, _ change: (inout Data) -> Void) throws -> Data {
        var data = try Data(contentsOf: URL(filePath: path))
        change(&data)
        try data.write(to: URL(filePath: path))
        return data
    }
}

extension PlayStore {
    /// Commits with the counts that a single client accepted, and waits for the result.
    func commit(
        _ changes: [CountChange], counted: DeduplicationWindow.Addition? = nil,
        published: [PlayCount] = []
    ) async throws {
        let marks =
            published.isEmpty ? [:] : [try registerClients(["fixture"])["fixture"]!: published]
        try await withCheckedThrowingContinuation { continuation in
            commit(changes, counted: counted, published: marks) {
                continuation.resume(with: $0)
            }
        }
    }
}

extension TemporaryFolder {
    /// Copies a store that an earlier version wrote, and returns the path of the copy.
    func copy(ofStore name: String) throws -> String {
        let fixture = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Fixtures/stores/\(name).sqlite").standardized
        let path = self.path("counts.sqlite")
        try FileManager.default.copyItem(atPath: fixture.path, toPath: path)
        return path
    }
}
