import BrokerCore
import Glibc
import NSQWire
import TallyJSON

/// Writes the unfinished messages of a journal as a data path of nsqd.
package enum NSQDExport {
    /// The numbers of exported topics, channels and messages.
    package struct Report: Sendable, Equatable {
        /// The number of exported topics.
        package var topics = 0
        /// The number of channels in all topics.
        package var channels = 0
        /// The number of messages. A message that two channels have not finished counts twice.
        package var messages = 0
    }

    /// Writes `nsqd.dat` and a disk queue for each topic and channel that has messages. Deferred
    /// messages are due at once, as after a restart of nsqd.
    ///
    /// - Parameters:
    ///   - inspection: the journal.
    ///   - target: the path of an empty folder, which is created if it does not exist.
    /// - Throws: an error if a message cannot be read or written. The folder is then empty again, or
    ///   missing if it did not exist.
    package static func run(
        _ inspection: JournalInspection, into target: String
    ) throws(MessageLogError) -> Report {
        // An error of `mkdir` is ignored here, because listing the folder reports it.
        let isNew = mkdir(target, 0o700) == 0
        guard try FileCalls.names(in: target, where: { $0 != "." && $0 != ".." }).isEmpty else {
            throw MessageLogError("\(target) is not empty")
        }
        do throws(MessageLogError) {
            return try write(inspection, into: target)
        } catch {
            let names = (try? FileCalls.names(in: target) { $0 != "." && $0 != ".." }) ?? []
            for name in names { unlink("\(target)/\(name)") }
            if isNew { rmdir(target) }
            throw error
        }
    }

    private static func write(
        _ inspection: JournalInspection, into target: String
    ) throws(MessageLogError) -> Report {
        var report = Report()
        for topic in inspection.topics {
            report.topics += 1
            report.messages += try writeQueue(of: topic.name, nil, inspection, target)
            for channel in topic.channels {
                report.channels += 1
                report.messages += try writeQueue(of: topic.name, channel.name, inspection, target)
            }
        }
        try FileCalls.write(
            metadata(of: inspection.topics), to: "\(target)/\(NSQDDataPath.metadataName)")
        try FileCalls.syncFolder(target)
        return report
    }

    private static func writeQueue(
        of topic: TopicName, _ channel: ChannelName?, _ inspection: JournalInspection,
        _ target: String
    ) throws(MessageLogError) -> Int {
        let owner = channel.map { "\(topic):\($0)" } ?? topic.text
        var writer = NSQDQueueWriter(owner, in: target)
        try inspection.readQueue(of: topic, channel) { frame, attempts throws(MessageLogError) in
            try writer.append(frame, attempts: attempts)
        }
        try writer.finish()
        return writer.count
    }

    /// Returns the content of `nsqd.dat`.
    private static func metadata(of topics: [TopicBacklog]) -> [UInt8] {
        JSONWriter.object { json in
            json.member("version", BrokerOptions().version)
            json.name("topics")
            json.array(topics) { json, topic in
                json.object { json in
                    json.member("name", topic.name.text)
                    json.member("paused", topic.isPaused)
                    json.name("channels")
                    json.array(topic.channels) { json, channel in
                        json.object { json in
                            json.member("name", channel.name.text)
                            json.member("paused", channel.isPaused)
                        }
                    }
                }
            }
        }
    }
}

/// Writes one disk queue of nsqd: files with messages, and the file with the positions.
private struct NSQDQueueWriter: ~Copyable {
    /// The number of messages written.
    private(set) var count = 0
    private let owner: String
    private let folder: String
    private var bytes: [UInt8] = []
    private var fileNumber = 0
    /// The number of bytes in the file, including those in `bytes`.
    private var fileBytes = 0
    private var descriptor: Int32 = -1

    /// The default of nsqd's `--max-bytes-per-file`. A file ends with the message that exceeds this
    /// size.
    private static let maxFileBytes = 100 << 20
    private static let bufferBytes = 1 << 20

    init(_ owner: String, in folder: String) {
        self.owner = owner
        self.folder = folder
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    mutating func append(_ frame: Bytes, attempts: UInt16) throws(MessageLogError) {
        if fileBytes > Self.maxFileBytes { try beginNextFile() }
        let message = frame.view(MessageFrame.timestampOffset..<frame.count)
        bytes.append(bigEndian: UInt32(message.count))
        let attemptsPlace =
            bytes.count + MessageFrame.attemptsOffset - MessageFrame.timestampOffset
        bytes += message
        bytes[attemptsPlace] = UInt8(attempts >> 8)
        bytes[attemptsPlace + 1] = UInt8(attempts & 0xff)
        fileBytes += 4 + message.count
        count += 1
        if bytes.count >= Self.bufferBytes { try flush() }
    }

    private mutating func beginNextFile() throws(MessageLogError) {
        try flush()
        close(descriptor)
        descriptor = -1
        fileNumber += 1
        fileBytes = 0
    }

    private mutating func flush() throws(MessageLogError) {
        guard !bytes.isEmpty else { return }
        let path = "\(folder)/\(NSQDQueueFile.name(of: owner, fileNumber))"
        if descriptor < 0 { descriptor = try FileCalls.create(path) }
        try FileCalls.write(bytes, to: descriptor, path)
        bytes.removeAll(keepingCapacity: true)
    }

    /// Writes the last messages and the file with the positions, unless the queue is empty.
    mutating func finish() throws(MessageLogError) {
        guard count > 0 else { return }
        try flush()
        let positions = "\(count)\n0,0\n\(fileNumber),\(fileBytes)\n"
        try FileCalls.write(
            Array(positions.utf8), to: "\(folder)/\(NSQDQueueFile.metadataName(of: owner))")
    }
}
