import PostgreSQL
import TallyBasics
import UVLoop

/// The counts of all videos in PostgreSQL, for any number of processes.
///
/// It lives on a loop. Batches and the work for clients have a connection each, so that a slow
/// batch does not delay the renewal of a lease.
package final class SharedStore {
    /// What the processes of a store share.
    package struct Identity: Sendable {
        /// A random text that identifies the store.
        package let storeID: String
        let fingerprinter: Fingerprinter
    }

    /// A batch of plays: fingerprints in ascending order, each with its video.
    struct Batch: Sendable {
        private(set) var fingerprints: [UInt8] = []
        private(set) var videos: [UInt8] = []
        let plays: Int

        /// Creates a batch. Equal fingerprints are the same play, which may be contained once.
        init(_ plays: [Fingerprint: VideoID]) {
            self.plays = plays.count
            let entries = plays.sorted { ($0.key.high, $0.key.low) < ($1.key.high, $1.key.low) }
            fingerprints.reserveCapacity(plays.count * 16)
            videos.reserveCapacity(plays.count * 16)
            for entry in entries {
                Self.append(entry.key.high, entry.key.low, to: &fingerprints)
                Self.append(entry.value.high, entry.value.low, to: &videos)
            }
        }

        private static func append(_ high: UInt64, _ low: UInt64, to bytes: inout [UInt8]) {
            for word in [high, low] {
                withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
            }
        }
    }

    /// The outcome of a batch.
    struct Counted: Sendable {
        /// The totals of the videos with new plays.
        var totals: [PlayCount] = []
        /// The number of plays that were new.
        var counted = 0
    }

    typealias Completion<Value> = (Result<Value, SharedStoreError>) -> Void

    /// The store without a password, for logs.
    package let name: String
    /// The loop on which the store lives.
    package let loop: Loop
    let settings: PlayProcessor.Settings
    let batches: PostgreSQLSession
    let deliveries: PostgreSQLSession
    /// The time before which no further attempt to begin a generation is made.
    private var nextGenerationAt = MonotonicInstant.start

    /// Creates a store that is not connected.
    package init(
        _ configuration: PostgreSQLConfiguration, on loop: Loop,
        settings: PlayProcessor.Settings = PlayProcessor.Settings()
    ) {
        name = configuration.description
        self.loop = loop
        self.settings = settings
        batches = PostgreSQLSession(configuration, on: loop)
        deliveries = PostgreSQLSession(configuration, on: loop)
    }

    /// Closes the connections. No completion is called afterwards.
    package func close() {
        batches.close()
        deliveries.close()
    }

    /// Counts the plays whose fingerprints are new. The same batch can be counted again if its
    /// outcome is unknown.
    func count(_ batch: Batch, _ done: @escaping Completion<Counted>) {
        let statement = PostgreSQLStatement(
            "SELECT * FROM tally.count_plays_1($1, $2, $3, $4, $5, $6, $7)",
            [.uuids(batch.fingerprints), .uuids(batch.videos)] + deadlines + window)
        batches.execute(statement, within: .seconds(30)) { [self] result in
            done(
                converted(result) { rows in
                    var counted = Counted()
                    for row in 0..<rows.count {
                        guard let video = rows.videoID(row, 0) else { continue }
                        counted.totals.append(PlayCount(of: video, rows.int(row, 1) ?? 0))
                        counted.counted += rows.int(row, 2) ?? 0
                    }
                    if rows.count > 0, rows.bool(0, 3) { beginGeneration() }
                    return counted
                })
        }
    }

    /// Begins a generation of fingerprints. A backup that reads the old generation can prevent
    /// this; another attempt is made after a minute, because each one delays the batches.
    private func beginGeneration() {
        guard loop.instant >= nextGenerationAt else { return }
        nextGenerationAt = loop.instant + .seconds(60)
        batches.execute(
            PostgreSQLStatement("SELECT tally.begin_generation_1($1, $2)", window)
        ) { [weak self] result in
            if let self, case .success = result { nextGenerationAt = .start }
        }
    }

    /// The parameters from which deadlines are computed.
    var deadlines: [PostgreSQLValue] {
        let scheduler = settings.scheduler
        let freshness = max(.zero, scheduler.freshness - scheduler.margin)
        return [
            .int(Int64(settings.realtimeBelow)), .int(min(scheduler.coalesce, freshness).micros),
            .int(freshness.micros),
        ]
    }

    private var window: [PostgreSQLValue] {
        [
            .int(settings.deduplication.window.micros),
            .int(Int64(max(1, settings.deduplication.limit / 2))),
        ]
    }

    func converted<Value>(
        _ result: Result<PostgreSQLRows, PostgreSQLError>, _ convert: (PostgreSQLRows) -> Value
    ) -> Result<Value, SharedStoreError> {
        result.map(convert).mapError { SharedStoreError($0, store: name) }
    }
}

extension Duration {
    /// Whole microseconds.
    var micros: Int64 { nanoseconds / 1000 }
}

extension PostgreSQLRows {
    /// A value of type `uuid`; `nil` for `NULL`.
    func videoID(_ row: Int, _ column: Int) -> VideoID? {
        withBytes(row, column) { bytes in
            guard bytes.count == 16 else { return nil }
            return VideoID(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }
}
