import BrokerCore
import Glibc
import NSQWire
import UVLoop

/// Moves what a real nsqd has left into a journal.
package enum NSQDImport {
    package struct Report: Sendable, Equatable {
        package var topics = 0
        package var channels = 0
        /// A message in the queues of two channels is two.
        package var messages = 0
        /// What is as it should not be, though nothing is lost by it.
        package var remarks: [String] = []
        /// What could not be read.
        package var damages: [String] = []
    }

    /// Reads nsqd's data path `source` and fills the data path `target`, which has no journal yet
    /// and comes into being if it is not there.
    ///
    /// - Parameter progress: is told how many messages were read.
    /// - Throws: if that cannot be done; then nothing is left in `target`.
    package static func run(
        from source: String, into target: String,
        progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> Report {
        let thread = try LoopThread(name: "import")
        defer {
            thread.stop()
            thread.join()
        }
        return try await withCheckedThrowingContinuation { continuation in
            thread.door.submit { loop in
                do {
                    let found = try NSQDDataPath(source)
                    let writer = try JournalFiller(target, on: loop)
                    let report = try writer.fill(from: found, at: loop.moment, progress)
                    writer.finish { continuation.resume(with: $0.map { report }) }
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}

/// A journal that is filled, and either is all there in the end or goes again.
private final class JournalFiller {
    private let disk: FolderDisk
    private let journal: Journal

    init(_ path: String, on loop: Loop) throws(LedgerError) {
        // What is in the way shows when it is opened.
        mkdir(path, 0o755)
        disk = try FolderDisk(path, on: loop)
        journal = Journal(on: disk)
        guard try disk.files().isEmpty else {
            throw LedgerError("there is a journal in \(path) already")
        }
    }

    func fill(
        from source: NSQDDataPath, at now: Moment, _ progress: (Int) -> Void
    ) throws(LedgerError) -> NSQDImport.Report {
        var report = NSQDImport.Report(
            topics: source.topics.count,
            channels: source.topics.reduce(0) { $0 + $1.channels.count }, remarks: source.remarks)
        do throws(LedgerError) {
            let filled = try LedgerImport(into: journal, topics: source.topics, at: now)
            for topic in source.topics {
                let queues = source.queues.filter { $0.topic == topic.name }
                for queue in queues where queue.channel != nil {
                    try fill(filled, from: queue, &report, progress)
                }
                if topic.isPaused { try filled.pause(topic.name) }
                for queue in queues where queue.channel == nil {
                    try fill(filled, from: queue, &report, progress)
                }
            }
            try filled.flush()
            return report
        } catch {
            removeAll()
            throw error
        }
    }

    private func fill(
        _ filled: LedgerImport, from queue: NSQDQueue, _ report: inout NSQDImport.Report,
        _ progress: (Int) -> Void
    ) throws(LedgerError) {
        var messages = report.messages
        try queue.read(&report) { message throws(LedgerError) in
            try filled.add(
                message.body, timestampNanoseconds: message.timestampNanoseconds,
                attempts: message.attempts, to: queue.channel, of: queue.topic)
            messages += 1
            if messages % 1000 == 0 { progress(messages) }
        }
        report.messages = messages
        progress(messages)
    }

    /// Calls `done` once all is on the disk for good.
    func finish(_ done: @escaping (Result<Void, any Error>) -> Void) {
        journal.onSync = { [self] _, error in
            guard error != nil || !journal.isDirty else { return }
            journal.onSync = { _, _ in }
            if let error {
                removeAll()
                return done(.failure(error))
            }
            done(.success(()))
        }
        journal.sync()
    }

    private func removeAll() {
        for file in (try? disk.files()) ?? [] { try? disk.remove(file.number) }
    }
}
