import Foundation
import PostgreSQL
import TallyBasics
import TestKit
import UVLoop

@testable import PlayCounts

/// An open store on a loop of its own, whose methods block until their completion.
// SAFETY: a test uses it on one thread at a time.
final class OpenStore: @unchecked Sendable {
    let store: SharedStore
    private let loop: Loop
    private let administrator: PostgreSQLSession
    private(set) var clients: [ClientNumber] = []

    convenience init(
        _ server: RunningPostgreSQL, clients: [String] = [],
        _ change: (inout PlayProcessor.Settings) -> Void = { _ in }
    ) throws {
        try self.init(url: server.url(), clients: clients, change)
    }

    init(
        url: String, clients: [String] = [],
        _ change: (inout PlayProcessor.Settings) -> Void = { _ in }
    ) throws {
        var settings = PlayProcessor.Settings()
        change(&settings)
        let configuration = try PostgreSQLConfiguration(url: url)
        loop = try Loop()
        store = SharedStore(configuration, on: loop, settings: settings)
        administrator = PostgreSQLSession(configuration, on: loop)
        self.clients = try wait { store.open(clients: clients, $0) }.1
    }

    deinit {
        store.close()
        administrator.close()
        loop.close()
    }

    /// Runs the loop until a completion is called.
    private func wait<Value, Failure: Error>(
        _ start: (@escaping (Result<Value, Failure>) -> Void) -> Void
    ) throws -> Value {
        var outcome: Result<Value, Failure>?
        start { [loop] in
            outcome = $0
            loop.stop()
        }
        loop.run()
        return try outcome!.get()
    }

    /// Counts plays of three videos by their numbers.
    func count(_ plays: Range<Int>) throws -> SharedStore.Counted {
        let plays = plays.map { play in
            (
                Fingerprint(low: UInt64(play), high: UInt64(play) &* 0x9E37_79B9_7F4A_7C15),
                VideoID(high: 7, low: UInt64(play % 3))
            )
        }
        let batch = SharedStore.Batch(Dictionary(uniqueKeysWithValues: plays))
        return try wait { store.count(batch, $0) }
    }

    func totals() throws -> [Int] {
        let rows = try rows("SELECT play_count FROM tally.counts ORDER BY video_id")
        return (0..<rows.count).map { rows.int($0, 0) ?? 0 }
    }

    func rows(_ sql: String) throws -> PostgreSQLRows {
        try wait { administrator.execute(PostgreSQLStatement(sql), $0) }
    }

    func number(_ sql: String) throws -> Int? { try rows(sql).int(0, 0) }

    func execute(_ sql: String) throws { _ = try rows(sql) }

    private func request(_ holder: String) throws -> SharedStore.LeaseResponse {
        try wait {
            store.request(
                .acquire(deadRenewals: nil), of: clients[0], holder: holder,
                PublisherLease.Settings(), $0)
        }
    }

    /// Acquires the lease of the first client.
    func acquire(_ holder: String) throws -> Int {
        guard case .acquired(let epoch, _) = try request(holder) else { throw Refused() }
        return epoch
    }

    func isRefused(_ holder: String) throws -> Bool {
        if case .refused = try request(holder) { true } else { false }
    }

    func due(_ epoch: Int) throws -> SharedStore.DueTotals? {
        try wait { store.dueTotals(for: clients[0], epoch: epoch, isFlushing: false, $0) }
    }

    func record(_ due: SharedStore.DueTotals, _ epoch: Int) throws -> Bool {
        try wait {
            store.recordPublished(
                due.counts, readAt: due.readAt, to: clients[0], epoch: epoch, $0)
        }
    }

    struct Refused: Error {}
}

/// A thread with a result.
// SAFETY: the semaphore orders the accesses.
final class TestThread<Value: Sendable>: @unchecked Sendable {
    private var outcome: Result<Value, any Error>?
    private let end = DispatchSemaphore(value: 0)

    init(_ body: @escaping @Sendable () throws -> Value) {
        Thread.detachNewThread { [self] in
            outcome = Result(catching: body)
            end.signal()
        }
    }

    func result() throws -> Value {
        end.wait()
        return try outcome!.get()
    }
}
