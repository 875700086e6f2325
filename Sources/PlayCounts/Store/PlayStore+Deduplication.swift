import Foundation
import GRDB
import TallyBasics

extension PlayStore {
    /// Reads the fingerprints of the two latest generations.
    package func loadDeduplicationWindow(
        _ settings: DeduplicationWindow.Settings = DeduplicationWindow.Settings(),
        at now: MonotonicInstant
    ) throws(StoreError) -> DeduplicationWindow {
        try inDatabase { [path] database in
            let latest =
                try Int.fetchOne(database, sql: "SELECT max(generation) FROM counted") ?? 1
            var window = DeduplicationWindow(settings, generation: latest, at: now)
            let rows = try Row.fetchCursor(
                database,
                sql: "SELECT generation, fingerprints FROM counted WHERE generation >= ?",
                arguments: [latest - 1])
            while let row = try rows.next() {
                guard let fingerprints = Fingerprint.all(in: row[1]) else {
                    throw StoreError(.damaged, path: path, detail: "incomplete fingerprint")
                }
                window.restore(fingerprints, of: row[0])
            }
            return window
        }
    }

    /// Reads the secret key of the store's fingerprints.
    package func loadFingerprinter() throws(StoreError) -> Fingerprinter {
        try inDatabase { [path] database in
            let key = try Data.fetchOne(database, sql: "SELECT key FROM fingerprint_key")
            guard let key, key.count == 16 else {
                throw StoreError(.damaged, path: path, detail: "missing fingerprint key")
            }
            return key.withUnsafeBytes { bytes in
                let second = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                return Fingerprinter(
                    key: (
                        UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)),
                        UInt64(littleEndian: second)
                    ))
            }
        }
    }

    /// Inserts the fingerprints of a batch, and deletes those of at most two expired batches.
    /// Deleting a whole generation in one commit would take so long that counts would be published
    /// too late.
    func write(_ addition: DeduplicationWindow.Addition, to database: Database) throws {
        guard !addition.fingerprints.isEmpty else { return }
        let insert = try database.cachedStatement(
            sql: "INSERT INTO counted (generation, fingerprints) VALUES (?, ?)")
        try insert.execute(arguments: [addition.generation, addition.fingerprints.data])
        // Row IDs increase, so the two lowest row IDs belong to the oldest batches.
        let delete = try database.cachedStatement(
            sql: """
                DELETE FROM counted WHERE generation < ?
                AND number IN (SELECT number FROM counted ORDER BY number LIMIT 2)
                """)
        try delete.execute(arguments: [addition.generation - 1])
    }

    /// The number of batches with fingerprints in the store. It is for tests.
    func fingerprintBatches() throws(StoreError) -> Int {
        try inDatabase { try Int.fetchOne($0, sql: "SELECT count(*) FROM counted") ?? 0 }
    }
}

extension Fingerprint {
    /// The fingerprints in a blob, or `nil` if the length of the blob is not a multiple of 16
    /// bytes.
    ///
    /// Fingerprints are stored in the byte order of the machine, which is little-endian on all
    /// platforms that Swift supports.
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
