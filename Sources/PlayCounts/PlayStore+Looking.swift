import Foundation
import GRDB

extension PlayStore {
    /// Looks at the counts of a store that a processor may be working with. Nothing is changed,
    /// made or locked; what is seen is a commit as a whole.
    package static func look(at path: String) throws(StoreError) -> [StoredCount] {
        guard FileManager.default.fileExists(atPath: path) else {
            throw StoreError(.missing, path: path)
        }
        do throws(StoreError) {
            return try look(at: path, opening: path)
        } catch {
            // To read, SQLite lays down a file beside the store that writers know of readers by. Where
            // it may not, and nobody is writing, the store is all in its one file, and stands still.
            guard [.readOnly, .cannotOpen].contains(error.kind), !isBeingWritten(path) else {
                throw error
            }
            let counts = try look(
                at: path, opening: URL(filePath: path).absoluteString + "?immutable=1")
            guard !isBeingWritten(path) else { throw error }
            return counts
        }
    }

    /// - Parameter name: the path, or a URI with what is to be known of the file.
    private static func look(
        at path: String, opening name: String
    ) throws(StoreError) -> [StoredCount] {
        do {
            var configuration = Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(2)
            let queue = try DatabaseQueue(path: name, configuration: configuration)
            defer { try? queue.close() }
            return try queue.inDatabase { database in
                let mark = try Int.fetchOne(database, sql: "PRAGMA application_id")
                guard mark == applicationID else { throw StoreError(.notAStore, path: path) }
                try checkThatItIsOurs(database, path: path)
                return try counts(in: database, path: path)
            }
        } catch {
            throw StoreError(error, path: path)
        }
    }

    /// Commits are in the log beside the store, as long as one has it open.
    private static func isBeingWritten(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: path + "-wal")
    }
}
