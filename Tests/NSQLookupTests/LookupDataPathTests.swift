import Foundation
import NSQWire
import TestKit
import TestTraits
import Testing

@testable import NSQLookup

@Suite(.blocking, .ours("the original loses its state with a restart"))
struct `The data path of nsqlookupd` {
    @Test func `keeps topics, channels and tombstones across a restart`() async throws {
        let folder = try TemporaryFolder()
        let first = try await LookupProbe.startOwn { $0.dataPath = folder.url.path }
        let nsqd = try first.nsqd()
        #expect(nsqd.ask("REGISTER plays counts") == "OK")
        #expect(try first.post("/channel/create?topic=orders&channel=mail").status == 200)
        #expect(try first.post("/topic/create?topic=gone").status == 200)
        #expect(try first.post("/topic/tombstone?topic=plays&node=127.0.0.1:4151").status == 200)
        #expect(try first.post("/topic/delete?topic=gone").status == 200)
        await first.stop()

        let second = try await LookupProbe.startOwn { $0.dataPath = folder.url.path }
        #expect(try second.names("topics", "/topics") == ["orders", "plays"])
        #expect(try second.names("channels", "/channels?topic=plays") == ["counts"])
        #expect(try second.names("channels", "/channels?topic=orders") == ["mail"])
        #expect(try second.producers("/lookup?topic=plays").isEmpty)
        let again = try second.nsqd()
        #expect(again.ask("REGISTER plays counts") == "OK")
        #expect(try second.producers("/lookup?topic=plays").isEmpty)
        let node = try #require(try second.producers("/nodes").first)
        #expect(node["tombstones"] as? [Bool] == [true])
        await second.stop()
    }

    /// The response to a change follows its fsync, so a copy of the file after it contains the change.
    @Test func `contains each change when its response arrives`() async throws {
        let folder = try TemporaryFolder()
        let lookupd = try await LookupProbe.startOwn { $0.dataPath = folder.url.path }
        for number in 0..<20 {
            #expect(try lookupd.post("/topic/create?topic=t\(number)").status == 200)
            let file = try StateFileCopy(of: folder)
            #expect(file.state.topics.contains { $0.name.text == "t\(number)" })
        }
        await lookupd.stop()
    }

    @Test func `is used by one nsqlookupd at a time`() async throws {
        let folder = try TemporaryFolder()
        let lookupd = try await LookupProbe.startOwn { $0.dataPath = folder.url.path }
        await #expect(throws: LookupStartError.self) {
            try await LookupProbe.startOwn { $0.dataPath = folder.url.path }
        }
        await lookupd.stop()
        let next = try await LookupProbe.startOwn { $0.dataPath = folder.url.path }
        await next.stop()
    }

    @Test func `must exist and contain a readable state`() async throws {
        let folder = try TemporaryFolder()
        await #expect(throws: LookupStartError.self) {
            try await LookupProbe.startOwn { $0.dataPath = folder.path("missing") }
        }
        try Data("{".utf8).write(to: folder.url.appending(component: StateFile.name))
        let error = await #expect(throws: LookupStartError.self) {
            try await LookupProbe.startOwn { $0.dataPath = folder.url.path }
        }
        #expect(error?.description.contains("is not a state of nsqlookupd") == true)
    }

    @Test func `reports a change that cannot be stored`() async throws {
        let folder = try TemporaryFolder()
        let lookupd = try await LookupProbe.startOwn { $0.dataPath = folder.url.path }
        // A folder at the path of the new file fails the write, also for the superuser.
        let obstacle = folder.url.appending(component: "nsqlookupd.json.new")
        try FileManager.default.createDirectory(at: obstacle, withIntermediateDirectories: false)
        #expect(
            try lookupd.post("/topic/create?topic=a").summary == #"503 {"message":"NOT_STORED"}"#)
        try FileManager.default.removeItem(at: obstacle)
        // The next write stores the first change, too.
        #expect(try lookupd.post("/topic/create?topic=b").status == 200)
        #expect(try StateFileCopy(of: folder).state.topics.map(\.name.text) == ["a", "b"])
        await lookupd.stop()
    }
}

/// The state in a data path that an nsqlookupd may be using.
private struct StateFileCopy {
    let state: LookupState

    init(of folder: TemporaryFolder) throws {
        let data = try Data(contentsOf: folder.url.appending(component: StateFile.name))
        state = try LookupState(parsing: Array(data))
    }
}
