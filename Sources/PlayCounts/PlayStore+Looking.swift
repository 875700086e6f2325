import Foundation
import GRDB

extension PlayStore {
    /// Looks at the counts of a store that a processor may be working with. Nothing is changed,
    /// made or locked; what is seen is a commit as a whole.
    package static func look(at path: String) throws(StoreError) -> [StoredCount] {
        guard FileManager.default.fileExists(atPath: path) else {
            throw StoreError(.missing, path: path)
        }
        do {
            var configuration = Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(2)
            let queue = try DatabaseQueue(path: path, configuration: configuration)
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
}
