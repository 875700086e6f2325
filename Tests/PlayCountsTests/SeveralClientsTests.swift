import PlayCounts
import TestKit
import Testing
import UVLoop

@Suite(.timeLimit(.minutes(5))) struct `Of several clients` {
    @Test func `each hears every total`() async throws {
        var other: FakeClient!
        let store = try PlayStore(.memory)
        try await onStage(
            store: store,
            others: OtherClients { loop in
                other = FakeClient(on: loop)
                return [Client("other", sink: other)]
            }
        ) { stage in
            stage.onEvent = { _ in
                guard stage.finished == 3 else { return }
                #expect(stage.client.totals == [video(1): 2, video(2): 1])
                #expect(other.totals == stage.client.totals)
                stage.stop()
            }
            stage.start()
            stage.publish([1, 2, 1])
        }
        #expect(try Set(store.load().map(\.published)) == [1, 2])
    }

    @Test func `one that is gone holds up neither the counting nor the others`() async throws {
        var gone: FakeClient!
        let store = try PlayStore(.memory)
        try await onStage(
            store: store,
            others: OtherClients { loop in
                gone = FakeClient(on: loop)
                gone.mood = .isSilent
                return [Client("gone", sink: gone)]
            },
            settings: {
                $0.longestStop = .milliseconds(200)
            }
        ) { stage in
            stage.onEvent = { event in
                guard case .finished = event else { return }
                guard stage.finished == 20 else { return stage.publish([1]) }
                #expect(stage.client.taken.map(\.count) == Array(1...20))
                stage.stop()
            }
            stage.start()
            stage.publish([1])
        }
        #expect(try store.load() == [.init(of: video(1), 20, published: 0)])
    }

    @Test func `each is told after a restart what it missed, in full calls, and no more`()
        async throws
    {
        let store = try PlayStore(.memory)
        try await onStage(
            store: store,
            others: OtherClients { loop in
                let gone = FakeClient(on: loop)
                gone.mood = .refuses
                return [Client("gone", sink: gone)]
            },
            settings: {
                $0.longestStop = .milliseconds(200)
            }
        ) { stage in
            stage.onEvent = { _ in if stage.finished == 60 { stage.stop() } }
            stage.start()
            for start in stride(from: 0, to: 60, by: 10) {
                stage.publish(Array(start..<start + 10))
            }
        }
        var back: FakeClient!
        var calls: [Int] = []
        try await onStage(
            store: store,
            others: OtherClients { loop in
                back = FakeClient(on: loop)
                back.onCall = { calls.append($0.videos.count) }
                return [Client("gone", sink: back)]
            }
        ) { stage in
            stage.onEvent = { event in
                if case .called = event { Issue.record("told again") }
            }
            stage.start()
            stage.stop()
        }
        #expect(calls == [20, 20, 20])
        #expect(try store.load().allSatisfy { $0.published == 1 })
    }

    @Test func `one that is new hears all there is, and one without a memory what comes`()
        async throws
    {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 7)])
        var (new, passing): (FakeClient?, FakeClient?)
        try await onStage(
            store: store,
            others: OtherClients { loop in
                (new, passing) = (FakeClient(on: loop), FakeClient(on: loop))
                return [
                    Client("new", sink: new!), Client("page", sink: passing!, isRemembered: false),
                ]
            }
        ) { stage in
            stage.onEvent = { _ in if stage.finished == 1 { stage.stop() } }
            stage.start()
            stage.publish([2])
        }
        #expect(new?.totals == [video(1): 7, video(2): 1])
        #expect(passing?.totals == [video(2): 1])
    }

    @Test func `one that comes back after a while is told only what changed since`() async throws {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 7), change(2, count: 7)])
        var heard: [[VideoID: Int]] = []
        for names in [["a", "b"], ["b"], ["a", "b"]] {
            var clients: [FakeClient] = []
            try await onStage(
                store: store,
                others: OtherClients { loop in
                    clients = names.map { _ in FakeClient(on: loop) }
                    return zip(names, clients).map { Client($0, sink: $1) }
                }
            ) { stage in
                stage.onEvent = { _ in if stage.finished == 1 { stage.stop() } }
                stage.start()
                stage.publish([1])
            }
            heard.append(clients[0].totals)
        }
        #expect(heard[0] == [video(1): 8, video(2): 7])
        #expect(heard[2] == [video(1): 10])
    }
}

@Suite struct `A store from when there was one client` {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// The first video's 69 plays are not published, and the second's 138 but for one.
    @Test func `takes that one for standard output, which is told what it has missed`() throws {
        let path = try folder.copy(ofStore: "2-counted-plays")
        #expect(try PlayStore.look(at: path).map(\.published).reduce(0, +) == 430)
        let store = try PlayStore(.file(path))
        #expect(try store.load().map(\.published).reduce(0, +) == 430)
        let numbers = try store.serve(["stdout", "http://new"])
        #expect(try store.missed(by: numbers["stdout"]!).map(\.count).sorted() == [69, 138])
        #expect(try store.missed(by: numbers["http://new"]!).map(\.count).reduce(0, +) == 500)
        #expect(try store.loadCounted(at: .start).0.count == 500)
        try store.close()
    }
}
