import BrokerCore
import NSQWire

/// What stands in a data path, as a broker that was started on it now would find it. Nothing of it
/// is changed, and no broker can be started on it meanwhile.
package final class JournalInspection {
    /// The oldest first.
    package let files: [JournalFile]
    package let report: JournalReport
    package let topics: [TopicBacklog]
    private let broker: Broker

    /// - Throws: if there is no journal, if a broker works with it, or if it cannot be read.
    package init(of path: String, at now: Moment) throws(LedgerError) {
        let folder = try QuietFolder(path)
        let disk = QuietDisk(folder)
        files = try disk.files().sorted { $0.number < $1.number }
        guard !files.isEmpty else {
            let isOfNSQD = try folder.names().contains(NSQDDataPath.metadataName)
            throw LedgerError(
                isOfNSQD
                    ? "\(path) is a data path of nsqd: tally doctor --import=\(path) NEW-DATA-PATH"
                    : "\(path) holds no journal")
        }
        let journal = Journal(on: disk)
        broker = Broker(ledger: journal, at: now)
        report = try journal.replay(into: broker, at: now)
        topics = broker.backlogs(at: now)
    }

    /// Damaged places; a write that was cut short is none, for nobody was told that it was done.
    package var isHealthy: Bool { report.damages.isEmpty }

    /// Hands over the bodies of messages that are not finished, as
    /// ``Broker/readBacklog(of:_:_:)`` does.
    package func readBacklog(
        of topic: TopicName, _ channel: ChannelName?, _ take: (Bytes) -> Bool
    ) throws(LedgerError) {
        guard try !broker.readBacklog(of: topic, channel, take) else { return }
        let what = channel.map { "channel \($0) of topic \(topic)" } ?? "topic \(topic)"
        throw LedgerError("there is no \(what)")
    }
}
