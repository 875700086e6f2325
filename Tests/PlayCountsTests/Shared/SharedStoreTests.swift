import PostgreSQL
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import PlayCounts

/// The environment variable `TALLY_POSTGRESQL` names the folder with PostgreSQL's programs.
@Suite(.blocking, .enabled(if: RunningPostgreSQL.isAvailable, "set TALLY_POSTGRESQL"))
struct `A shared store` {
    @Test func `counts each play once, also in a later batch and generation`() throws {
        let server = try RunningPostgreSQL()
        let store = try OpenStore(server) { $0.deduplication.window = .seconds(3600) }
        #expect(try store.count(0..<100).counted == 100)
        #expect(try store.count(50..<150).counted == 50)
        #expect(try store.count(50..<150).counted == 0)
        #expect(try store.totals() == [50, 50, 50])
        try store.execute(
            """
            UPDATE tally.store SET generation_started = generation_started - interval '2 hours'
            """)
        // The batch finds that the generation is over, and begins the next one.
        #expect(try store.count(150..<151).counted == 1)
        #expect(try eventually { try store.number("SELECT generation FROM tally.store") == 2 })
        #expect(try store.count(0..<152).counted == 1)
        #expect(try store.totals().reduce(0, +) == 152)
    }

    @Test func `forgets the plays before the previous generation`() throws {
        let server = try RunningPostgreSQL()
        let store = try OpenStore(server)
        _ = try store.count(0..<10)
        for generation in 2...3 {
            try store.execute(
                "UPDATE tally.store SET generation_started = '2020-01-01'")
            _ = try store.count(100 * generation..<100 * generation + 1)
            #expect(
                try eventually {
                    try store.number("SELECT generation FROM tally.store") == generation
                })
        }
        #expect(try store.count(0..<10).counted == 10)
    }

    @Test func `begins a generation when the current one is full`() throws {
        let server = try RunningPostgreSQL()
        let store = try OpenStore(server) { $0.deduplication.limit = 1_000 }
        _ = try store.count(0..<2_000)
        _ = try store.count(2_000..<2_001)
        #expect(try eventually { try store.number("SELECT generation FROM tally.store") == 2 })
    }

    @Test func `is created by several processes at once`() throws {
        let server = try RunningPostgreSQL()
        let loop = try Loop()
        let stores = try (0..<6).map { _ in
            SharedStore(try PostgreSQLConfiguration(url: server.url()), on: loop)
        }
        var identities: [String] = []
        var clients: [[ClientNumber]] = []
        for store in stores {
            store.open(clients: ["a", "b"]) { result in
                switch result {
                case .success((let identity, let numbers)):
                    identities.append(identity.storeID)
                    clients.append(numbers)
                case .failure(let error): Issue.record(error)
                }
                if identities.count == stores.count { loop.stop() }
            }
        }
        loop.run()
        #expect(Set(identities).count == 1)
        #expect(Set(clients).count == 1)
        for store in stores { store.close() }
        loop.close()
    }

    /// Writers with the same plays in another order, with plays of their own, and with every
    /// batch twice.
    @Test func `counts exactly with concurrent writers`() throws {
        let server = try RunningPostgreSQL()
        let writers = try (0..<4).map { _ in try OpenStore(server) }
        let threads = writers.enumerated().map { index, store in
            TestThread {
                var generator = SplitMix64(seed: UInt64(index))
                var counted = 0
                for round in 0..<60 {
                    let start = Int.random(in: 0..<5_000, using: &generator)
                    let batch = start..<start + 300
                    counted += try store.count(batch).counted
                    if round % 3 == 0 { counted += try store.count(batch).counted }
                }
                return counted
            }
        }
        let counted = try threads.map { try $0.result() }.reduce(0, +)
        let plays = try writers[0].number("SELECT count(*) FROM tally.fingerprints")
        #expect(counted == plays)
        #expect(try writers[0].totals().reduce(0, +) == plays)
    }

    @Test func `tells a new client all totals and an old one only changes`() throws {
        let server = try RunningPostgreSQL()
        let store = try OpenStore(server, clients: ["old"])
        _ = try store.count(0..<30)
        let lease = try store.acquire("p")
        let due = try #require(try store.due(lease))
        #expect(due.counts.count == 3)
        #expect(try store.record(due, lease))
        #expect(try store.due(lease)?.counts == [])
        let other = try OpenStore(server, clients: ["new"])
        let second = try other.acquire("p")
        #expect(try other.due(second)?.counts.map(\.count) == [10, 10, 10])
        _ = try store.count(30..<31)
        #expect(try store.due(lease)?.counts.map(\.count) == [11])
    }

    @Test func `refuses what a former holder of a lease has published`() throws {
        let server = try RunningPostgreSQL()
        let store = try OpenStore(server, clients: ["c"])
        _ = try store.count(0..<30)
        let first = try store.acquire("first")
        let due = try #require(try store.due(first))
        #expect(try store.isRefused("second"))
        try store.execute("UPDATE tally.clients SET expires = clock_timestamp()")
        let second = try store.acquire("second")
        #expect(second == first + 1)
        #expect(try !store.record(due, first))
        #expect(try store.due(first) == nil)
        #expect(try store.due(second)?.counts.count == 3)
    }

    @Test func `gives plays that arrive during a call a deadline of their own`() throws {
        let server = try RunningPostgreSQL()
        let store = try OpenStore(server, clients: ["c"]) { $0.realtimeBelow = 5 }
        _ = try store.count(0..<30)
        let lease = try store.acquire("p")
        let due = try #require(try store.due(lease))
        _ = try store.count(30..<33)
        #expect(try store.record(due, lease))
        // The totals are above the realtime bound, so they are due within the freshness.
        #expect(try store.due(lease)?.counts == [])
        #expect(
            try store.number(
                "SELECT count(*) FROM tally.deliveries WHERE play_count <> published") == 3)
        try store.execute("UPDATE tally.deliveries SET due_at = clock_timestamp()")
        #expect(try store.due(lease)?.counts.map(\.count) == [11, 11, 11])
    }

    @Test func `fills a call with totals that are not due yet`() throws {
        let server = try RunningPostgreSQL()
        let store = try OpenStore(server, clients: ["c"]) { $0.realtimeBelow = 0 }
        _ = try store.count(0..<30)
        let lease = try store.acquire("p")
        #expect(try store.due(lease)?.counts == [])
        try store.execute(
            """
            UPDATE tally.deliveries SET due_at = clock_timestamp() WHERE video_id =
                (SELECT min(video_id::text)::uuid FROM tally.deliveries)
            """)
        #expect(try store.due(lease)?.counts.count == 3)
    }

    @Test(arguments: ["fsync=off", "full_page_writes=off", "synchronous_commit=off"])
    func `refuses a server that may lose commits`(setting: String) throws {
        let server = try RunningPostgreSQL(settings: [setting])
        let error = #expect(throws: SharedStoreError.self) { try OpenStore(server) }
        #expect(error?.kind == .unsafeSettings)
        #expect(error?.description.contains(setting.prefix { $0 != "=" }) == true)
    }

    @Test func `refuses a newer version, and reports missing privileges`() throws {
        let server = try RunningPostgreSQL()
        let store = try OpenStore(server)
        try store.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        let guest = server.url().replacing("tally:", with: "guest:")
            .replacing(RunningPostgreSQL.password, with: "guest")
        let denied = #expect(throws: SharedStoreError.self) { try OpenStore(url: guest) }
        #expect(denied?.description.contains("permission denied") == true)
        try store.execute("UPDATE tally.store SET version = 99")
        let newer = #expect(throws: SharedStoreError.self) { try OpenStore(server) }
        #expect(newer?.kind == .newerVersion)
    }
}
