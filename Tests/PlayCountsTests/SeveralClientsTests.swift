import PlayCounts
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@Suite(.blocking, .timeLimit(.minutes(15))) struct `The processor, with several clients,` {
    @Test func `publishes every total to each client`() async throws {
        var other: FakeClient!
        let store = try PlayStore(.memory)
        try await withProcessor(
            store: store,
            others: OtherClients { loop in
                other = FakeClient(on: loop)
                return [Client("other", sink: other)]
            }
        ) { fixture in
            fixture.onEvent = { _ in
                guard fixture.finished == 3 else { return }
                #expect(fixture.client.totals == [video(1): 2, video(2): 1])
                #expect(other.totals == fixture.client.totals)
                fixture.stop()
            }
            fixture.start()
            fixture.publish([1, 2, 1])
        }
        #expect(try Set(store.loadCounts().map(\.published)) == [1, 2])
    }

    @Test func `delays neither the counting nor other clients if one does not respond`()
        async throws
    {
        var gone: FakeClient!
        let store = try PlayStore(.memory)
        try await withProcessor(
            store: store,
            others: OtherClients { loop in
                gone = FakeClient(on: loop)
                gone.behavior = .doesNotRespond
                return [Client("gone", sink: gone)]
            },
            settings: {
                $0.stopTimeout = .milliseconds(200)
            }
        ) { fixture in
            fixture.onEvent = { event in
                guard case .finished = event else { return }
                guard fixture.finished == 20 else { return fixture.publish([1]) }
                #expect(fixture.client.accepted.map(\.count) == Array(1...20))
                fixture.stop()
            }
            fixture.start()
            fixture.publish([1])
        }
        #expect(try store.loadCounts() == [.init(of: video(1), 20, published: 0)])
    }

    @Test func `publishes to each client after a restart what it missed, in full calls`()
        async throws
    {
        let store = try PlayStore(.memory)
        try await withProcessor(
            store: store,
            others: OtherClients { loop in
                let gone = FakeClient(on: loop)
                gone.behavior = .refuses
                return [Client("gone", sink: gone)]
            },
            settings: {
                $0.stopTimeout = .milliseconds(200)
            }
        ) { fixture in
            fixture.onEvent = { _ in if fixture.finished == 60 { fixture.stop() } }
            fixture.start()
            for start in stride(from: 0, to: 60, by: 10) {
                fixture.publish(Array(start..<start + 10))
            }
        }
        var back: FakeClient!
        var calls: [Int] = []
        try await withProcessor(
            store: store,
            others: OtherClients { loop in
                back = FakeClient(on: loop)
                back.onCall = { calls.append($0.videos.count) }
                return [Client("gone", sink: back)]
            }
        ) { fixture in
            fixture.onEvent = { event in
                if case .called = event { Issue.record("published again") }
            }
            fixture.start()
            fixture.stop()
        }
        #expect(calls == [20, 20, 20])
        #expect(try store.loadCounts().allSatisfy { $0.published == 1 })
    }

    @Test
    func `publishes all totals to a new client, and only changes to one that is not remembered`()
        async throws
    {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 7)])
        var (new, passing): (FakeClient?, FakeClient?)
        try await withProcessor(
            store: store,
            others: OtherClients { loop in
                (new, passing) = (FakeClient(on: loop), FakeClient(on: loop))
                return [
                    Client("new", sink: new!), Client("page", sink: passing!, isRemembered: false),
                ]
            }
        ) { fixture in
            fixture.onEvent = { _ in if fixture.finished == 1 { fixture.stop() } }
            fixture.start()
            fixture.publish([2])
        }
        #expect(new?.totals == [video(1): 7, video(2): 1])
        #expect(passing?.totals == [video(2): 1])
    }

    @Test func `publishes only the changes since to a client that is registered again`()
        async throws
    {
        let store = try PlayStore(.memory)
        try await store.commit([change(1, count: 7), change(2, count: 7)])
        var received: [[VideoID: Int]] = []
        for names in [["a", "b"], ["b"], ["a", "b"]] {
            var clients: [FakeClient] = []
            try await withProcessor(
                store: store,
                others: OtherClients { loop in
                    clients = names.map { _ in FakeClient(on: loop) }
                    return zip(names, clients).map { Client($0, sink: $1) }
                }
            ) { fixture in
                fixture.onEvent = { _ in if fixture.finished == 1 { fixture.stop() } }
                fixture.start()
                fixture.publish([1])
            }
            received.append(clients[0].totals)
        }
        #expect(received[0] == [video(1): 8, video(2): 7])
        #expect(received[2] == [video(1): 10])
    }
}

@Suite(.blocking) struct `A store of schema version 2` {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// In the fixture, none of the first video's 69 plays is published, and only one of the second
    /// video's 138.
    @Test func `treats its one client as standard output, which gets what it missed`() throws {
        let path = try folder.copy(ofStore: "2-counted-plays")
        #expect(try PlayStore.readCounts(at: path).map(\.published).reduce(0, +) == 430)
        let store = try PlayStore(.file(path))
        #expect(try store.loadCounts().map(\.published).reduce(0, +) == 430)
        let numbers = try store.registerClients(["stdout", "http://new"])
        #expect(
            try store.unpublishedCounts(for: numbers["stdout"]!).map(\.count).sorted() == [69, 138])
        #expect(
            try store.unpublishedCounts(for: numbers["http://new"]!).map(\.count).reduce(0, +)
                == 500)
        #expect(try store.loadDeduplicationWindow(at: .start).count == 500)
        try store.close()
    }
}
