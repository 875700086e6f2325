import Foundation
import GRDB

extension PlayStore {
    /// What the store remembers of the plays counted lately, for the start.
    package func loadCounted(
        _ settings: CountedPlays.Settings = CountedPlays.Settings(), at now: Instant
    ) throws(StoreError) -> (CountedPlays, Fingerprint.Taker) {
        try inDatabase { [path] database in
            let last = try Int.fetchOne(database, sql: "SELECT max(generation) FROM counted") ?? 1
            var counted = CountedPlays(settings, generation: last, at: now)
            let rows = try Row.fetchCursor(
                database,
                sql: "SELECT generation, fingerprints FROM counted WHERE generation >= ?",
                arguments: [last - 1])
            while let row = try rows.next() {
                guard let fingerprints = Fingerprint.all(in: row[1]) else {
                    throw StoreError(.damaged, path: path, detail: "half a fingerprint")
                }
                counted.restore(fingerprints, of: row[0])
            }
            return (counted, try PlayStore.taker(database, path: path))
        }
    }

    private static func taker(_ database: Database, path: String) throws -> Fingerprint.Taker {
        let key = try Data.fetchOne(database, sql: "SELECT key FROM fingerprint_key")
        guard let key, key.count == 16 else {
            throw StoreError(.damaged, path: path, detail: "the key of its fingerprints is gone")
        }
        return key.withUnsafeBytes { bytes in
            Fingerprint.Taker(
                key: (
                    UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)),
                    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                ))
        }
    }

    /// Adds a batch's plays, and deletes up to two batches that are forgotten: a whole generation
    /// at once would take longer than a play may wait.
    func write(_ addition: CountedPlays.Addition, to database: Database) throws {
        guard !addition.fingerprints.isEmpty else { return }
        let insert = try database.cachedStatement(
            sql: "INSERT INTO counted (generation, fingerprints) VALUES (?, ?)")
        try insert.execute(arguments: [addition.generation, addition.fingerprints.data])
        // Rows are numbered as they come, so the two lowest are the oldest.
        let forget = try database.cachedStatement(
            sql: """
                DELETE FROM counted WHERE generation < ?
                AND number IN (SELECT number FROM counted ORDER BY number LIMIT 2)
                """)
        try forget.execute(arguments: [addition.generation - 1])
    }

    /// For a test that has old ones go.
    func rememberedBatches() throws(StoreError) -> Int {
        try inDatabase { try Int.fetchOne($0, sql: "SELECT count(*) FROM counted") ?? 0 }
    }
}

extension Fingerprint {
    /// The fingerprints that lie side by side in a blob, or `nil` if it does not hold whole ones.
    ///
    /// In the byte order of the machine, which is little-endian wherever Swift runs.
    fileprivate static func all(in blob: Data?) -> [Fingerprint]? {
        guard let blob, blob.count % MemoryLayout<Fingerprint>.stride == 0 else { return nil }
        return [Fingerprint](
            unsafeUninitializedCapacity: blob.count / MemoryLayout<Fingerprint>.stride
        ) { fingerprints, count in
            count = blob.copyBytes(to: fingerprints) / MemoryLayout<Fingerprint>.stride
        }
    }
}

extension [Fingerprint] {
    fileprivate var data: Data { withUnsafeBytes { Data($0) } }
}
