import BrokerCore
import NSQWire
import TallyBasics

/// A read-only view of a data path, as a broker would recover it now. While the view exists, it
/// locks the folder, so that no broker can use the data path.
package final class JournalInspection {
    /// The journal's files, the oldest first.
    package let files: [JournalFile]
    /// The result of reading the files.
    package let report: JournalReport
    /// The backlogs of all topics and channels.
    package let topics: [TopicBacklog]
    private let broker: Broker

    /// Reads a data path.
    ///
    /// - Throws: an error if the folder contains no journal, is locked by a broker, or has an
    ///   unreadable file.
    package init(of path: String, at now: Timestamp) throws(MessageLogError) {
        let folder = try LockedFolder(path, .shared)
        let disk = ReadOnlyDisk(folder)
        files = try disk.files().sorted { $0.number < $1.number }
        guard !files.isEmpty else {
            let isOfNSQD = try !folder.names(where: NSQDDataPath.isFile).isEmpty
            throw MessageLogError(
                isOfNSQD
                    ? "\(path) is a data path of nsqd: tally doctor --import=\(path) NEW-DATA-PATH"
                    : "no journal in \(path)")
        }
        let journal = Journal(on: disk)
        broker = Broker(messageLog: journal, at: now)
        report = try journal.replay(into: broker, at: now)
        topics = broker.backlogs(at: now)
    }

    /// `true` if no range is damaged. A torn tail does not count as damage, because the write that
    /// left it was never acknowledged.
    package var isHealthy: Bool { report.damages.isEmpty }

    /// Calls `body` with the messages of one queue; see ``Broker/readQueue(of:_:_:)``.
    func readQueue(
        of topic: TopicName, _ channel: ChannelName?,
        _ body: (_ frame: Bytes, _ attempts: UInt16) throws(MessageLogError) -> Void
    ) throws(MessageLogError) {
        try broker.readQueue(of: topic, channel, body)
    }

    /// Calls `body` with the body of each unfinished message of a channel, until `body` returns
    /// `false`.
    ///
    /// - Parameter channel: the channel; `nil` reads each unfinished message of the topic once.
    /// - Throws: an error if the topic or channel does not exist, or a file cannot be read.
    package func readBacklog(
        of topic: TopicName, _ channel: ChannelName?, _ body: (Bytes) -> Bool
    ) throws(MessageLogError) {
        guard try !broker.readBacklog(of: topic, channel, body) else { return }
        let what = channel.map { "channel \($0) of topic \(topic)" } ?? "topic \(topic)"
        throw MessageLogError("unknown \(what)")
    }
}
