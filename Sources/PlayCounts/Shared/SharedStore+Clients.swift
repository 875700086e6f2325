import PostgreSQL
import TallyBasics

extension SharedStore {
    /// The response to a request for a lease.
    enum LeaseResponse: Sendable {
        case acquired(epoch: Int, wasTakenOver: Bool)
        case refused(renewals: Int)
        case renewed
        case lost
    }

    /// The totals to publish to a client.
    struct DueTotals: Sendable {
        var counts: [PlayCount] = []
        /// The server's time of the read in microseconds.
        var readAt: Int64 = 0
    }

    /// Sends a request for the lease of a client.
    ///
    /// - Parameter holder: a random text that identifies this process.
    func request(
        _ request: PublisherLease.Request, of client: ClientNumber, holder: String,
        _ lease: PublisherLease.Settings, _ done: @escaping Completion<LeaseResponse>
    ) {
        let limit = lease.renewal
        switch request {
        case .acquire(let dead):
            deliveries.execute(
                PostgreSQLStatement(
                    "SELECT * FROM tally.acquire_lease_1($1::int, $2, $3, $4)",
                    [
                        .int(Int64(client)), .text(holder), .int(lease.duration.micros),
                        dead.map { .int(Int64($0)) } ?? .null,
                    ]), within: limit
            ) { [self] result in
                done(
                    converted(result) { rows in
                        rows.bool(0, 0)
                            ? .acquired(epoch: rows.int(0, 1) ?? 0, wasTakenOver: rows.bool(0, 2))
                            : .refused(renewals: rows.int(0, 3) ?? 0)
                    })
            }
        case .renew(let epoch):
            deliveries.execute(
                PostgreSQLStatement(
                    "SELECT tally.renew_lease_1($1::int, $2, $3)",
                    [.int(Int64(client)), .int(Int64(epoch)), .int(lease.duration.micros)]),
                within: limit
            ) { [self] in done(converted($0) { $0.bool(0, 0) ? .renewed : .lost }) }
        }
    }

    /// Releases a lease, so that another process acquires it without a delay.
    func releaseLease(
        of client: ClientNumber, epoch: Int, _ done: @escaping Completion<Void>
    ) {
        deliveries.execute(
            PostgreSQLStatement(
                "SELECT tally.release_lease_1($1::int, $2)",
                [.int(Int64(client)), .int(Int64(epoch))]), within: .seconds(2)
        ) { [self] in done(converted($0) { _ in }) }
    }

    /// Reads the totals that are due, and as many others as fit into the same calls.
    ///
    /// - Parameters:
    ///   - isFlushing: whether every total is due that the client has not accepted.
    ///   - done: receives `nil` if another process has acquired the lease.
    func dueTotals(
        for client: ClientNumber, epoch: Int, isFlushing: Bool,
        _ done: @escaping Completion<DueTotals?>
    ) {
        let scheduler = settings.scheduler
        deliveries.execute(
            PostgreSQLStatement(
                "SELECT * FROM tally.due_totals_1($1::int, $2, $3, $4, $5 <> 0)",
                [
                    .int(Int64(client)), .int(Int64(epoch)), .int(Int64(scheduler.videosPerCall)),
                    .int(Int64(scheduler.videosPerCall * scheduler.callsPerRound)),
                    .int(isFlushing ? 1 : 0),
                ])
        ) { [self] result in
            done(
                converted(result) { rows in
                    guard rows.count > 0, rows.int(0, 1) == 1 else { return nil }
                    let counts = (1..<rows.count).compactMap { row in
                        rows.videoID(row, 0).map { PlayCount(of: $0, rows.int(row, 1) ?? 0) }
                    }
                    return DueTotals(counts: counts, readAt: Int64(rows.int(0, 2) ?? 0))
                })
        }
    }

    /// Records the totals that a client has accepted.
    ///
    /// - Parameter done: receives `false` if another process has acquired the lease.
    func recordPublished(
        _ counts: [PlayCount], readAt: Int64, to client: ClientNumber, epoch: Int,
        _ done: @escaping Completion<Bool>
    ) {
        var videos: [UInt8] = []
        videos.reserveCapacity(counts.count * 16)
        for count in counts {
            for word in [count.videoID.high, count.videoID.low] {
                withUnsafeBytes(of: word.bigEndian) { videos.append(contentsOf: $0) }
            }
        }
        deliveries.execute(
            PostgreSQLStatement(
                "SELECT tally.record_published_1($1::int, $2, $3, $4, $5, $6, $7, $8)",
                [
                    .int(Int64(client)), .int(Int64(epoch)), .uuids(videos),
                    .ints(counts.map { Int64($0.count) }), .int(readAt),
                ] + deadlines)
        ) { [self] in done(converted($0) { $0.bool(0, 0) }) }
    }
}
