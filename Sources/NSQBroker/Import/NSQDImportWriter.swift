import BrokerCore
import Glibc
import NSQWire
import TallyBasics
import UVLoop

/// Writes the data of an nsqd to a new journal, and removes this journal if the import fails.
final class NSQDImportWriter {
    private let path: String
    private let disk: FolderDisk
    private let journal: Journal

    /// - Parameter path: a folder without a journal.
    init(_ path: String, _ options: Journal.Options, on loop: Loop) throws(MessageLogError) {
        self.path = path
        disk = try FolderDisk(path, on: loop)
        var options = options
        // Imported messages were accepted by nsqd, so no limit refuses them. They are synced once,
        // at the end.
        options.maxDiskBytes = 0
        options.syncEvery = .max
        options.respondsAfterSync = false
        journal = Journal(on: disk, options)
        guard try disk.files().isEmpty else {
            throw MessageLogError("\(path) already contains a journal")
        }
    }

    /// Writes and syncs all topics, channels and messages.
    ///
    /// - Parameter progress: a closure that is called with the number of messages written so far.
    func write(
        _ source: NSQDDataPath, at now: Timestamp, _ progress: (Int) -> Void
    ) throws(MessageLogError) -> NSQDImport.Report {
        var report = source.report
        report.topics = source.topics.count
        report.channels = source.topics.reduce(0) { $0 + $1.channels.count }
        do throws(MessageLogError) {
            let log = try MessageLogImport(into: journal, topics: source.topics, at: now)
            let queues = Dictionary(grouping: source.queues, by: \.topic)
            for topic in source.topics {
                let queues = queues[topic.name] ?? []
                for queue in queues where queue.channel != nil {
                    try copy(queue, to: log, &report, progress)
                }
                if topic.isPaused { try log.pause(topic.name) }
                for queue in queues where queue.channel == nil {
                    try copy(queue, to: log, &report, progress)
                }
            }
            try log.flush()
            try FileCalls.syncFolder(path)
            return report
        } catch {
            removeAll()
            throw error
        }
    }

    private func copy(
        _ queue: NSQDQueue, to log: MessageLogImport, _ report: inout NSQDImport.Report,
        _ progress: (Int) -> Void
    ) throws(MessageLogError) {
        var messages = report.messages
        try queue.readMessages(&report) { message throws(MessageLogError) in
            try log.add(
                message.body, timestampNanoseconds: message.timestampNanoseconds,
                attempts: message.attempts, to: queue.channel, of: queue.topic)
            messages += 1
            if messages % 1000 == 0 { progress(messages) }
        }
        report.messages = messages
        progress(messages)
    }

    private func removeAll() {
        for file in (try? disk.files()) ?? [] { try? disk.remove(file.number) }
    }
}
