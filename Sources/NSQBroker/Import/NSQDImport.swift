import BrokerCore
import Glibc
import NSQWire
import TallyBasics
import UVLoop

/// Copies the topics, channels and messages of a stopped nsqd into a new journal.
package enum NSQDImport {
    /// The result of an import.
    package struct Report: Sendable, Equatable {
        /// The number of imported topics.
        package var topics = 0
        /// The number of imported channels in all topics.
        package var channels = 0
        /// The number of imported messages. A message in the queues of two channels counts twice.
        package var messages = 0
        /// Descriptions of irregularities that cause no loss of messages. Only the first
        /// ``maxDescriptions`` are kept.
        package private(set) var remarks: [String] = []
        /// Descriptions of parts that could not be read. Only the first ``maxDescriptions`` are
        /// kept.
        package private(set) var damages: [String] = []

        /// The maximum number of remarks and of damages.
        static let maxDescriptions = 1000

        mutating func addRemark(_ text: String) { Self.add(text, to: &remarks) }

        mutating func addDamage(_ text: String) { Self.add(text, to: &damages) }

        private static func add(_ text: String, to list: inout [String]) {
            if list.count < maxDescriptions - 1 {
                list.append(text)
            } else if list.count < maxDescriptions {
                list.append("and more")
            }
        }
    }

    /// Copies nsqd's data path `source` to the data path `target`.
    ///
    /// - Parameters:
    ///   - source: the path of nsqd's data.
    ///   - target: the path of a folder without a journal. The folder is created if it does not
    ///     exist.
    ///   - progress: a closure that is called with the number of messages read so far.
    /// - Throws: an error if the import fails. No journal is then left in `target`, and a folder that
    ///   was created is removed.
    package static func run(
        from source: String, into target: String,
        progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> Report {
        let thread = try LoopThread(name: "import")
        let result: Result<Report, any Error> = await withCheckedContinuation { continuation in
            thread.mailbox.submit { loop in
                continuation.resume(
                    returning: Result {
                        let found = try NSQDDataPath(LockedFolder(source, .shared))
                        guard !found.topics.isEmpty else {
                            throw MessageLogError("no nsqd topics in \(source)")
                        }
                        // An error of `mkdir` is ignored here, because opening the folder reports it.
                        let isNew = mkdir(target, 0o700) == 0
                        do {
                            return try NSQDImportWriter(target, Journal.Options(), on: loop)
                                .write(found, at: loop.timestamp, progress)
                        } catch {
                            if isNew { rmdir(target) }
                            throw error
                        }
                    })
            }
        }
        thread.stop()
        await thread.join()
        return try result.get()
    }
}
