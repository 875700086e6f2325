import BrokerCore
import NSQWire

/// nsqd's disk queue of a topic or a channel. The messages are in the files
/// `OWNER.diskqueue.000000.dat` and so on, and the read position is in `OWNER.diskqueue.meta.dat`.
///
/// A file is a sequence of messages. Each message consists of size (4 bytes), timestamp (8 bytes),
/// attempts (2 bytes), ID (16 bytes) and body. All integers are big-endian.
struct NSQDQueue {
    let topic: TopicName
    let channel: ChannelName?
    private let owner: String
    private let folder: LockedFolder
    private let numbers: [Int]
    private let position: Position?

    /// The content of the queue's metadata file: the number of messages (`depth`), and the file
    /// number and byte offset of the next message.
    private struct Position {
        var depth: Int
        var file: Int
        var offset: Int

        /// The maximum size of a metadata file, which has five numbers, in bytes.
        static let maxBytes = 4 << 10

        init?(_ text: String) {
            let numbers = text.split { $0 == "\n" || $0 == "," }.map { Int($0) }
            guard numbers.count == 5, let depth = numbers[0], let file = numbers[1],
                let offset = numbers[2], offset >= 0
            else { return nil }
            (self.depth, self.file, self.offset) = (depth, file, offset)
        }
    }

    struct Message {
        var timestampNanoseconds: Int64
        var attempts: UInt16
        var body: Bytes

        static let headerBytes = 26
        /// The maximum size of a message with its header, in bytes. A larger size is damage.
        static let maxBytes = Limits.frameBytes

        init(_ record: Bytes) {
            // nsqd writes no time before 1970. Later arithmetic does not handle negative times.
            timestampNanoseconds = max(0, record.bigEndian(at: 0, as: Int64.self))
            attempts = record.bigEndian(at: 8, as: UInt16.self)
            body = record.view(Self.headerBytes..<record.count)
        }
    }

    /// - Parameter files: the queue's files.
    /// - Throws: an error if the metadata file exists and cannot be read.
    init(
        _ owner: String, _ topic: TopicName, _ channel: ChannelName?, _ files: [NSQDQueueFile],
        _ folder: LockedFolder
    ) throws(MessageLogError) {
        self.owner = owner
        self.topic = topic
        self.channel = channel
        self.folder = folder
        var position: Position?
        if files.contains(where: { $0.part == .metadata }) {
            let file = try InputFile(NSQDQueueFile.metadataName(of: owner), in: folder)
            let bytes = try file.allBytes(limit: Position.maxBytes)
            position = Position(String(decoding: bytes, as: UTF8.self))
        }
        self.position = position
        let start = position?.file ?? 0
        numbers = files.compactMap(\.number).filter { $0 >= start }.sorted()
    }

    var isEmpty: Bool { numbers.isEmpty }

    /// Reads all messages in order, up to the end of the last file. The write position in the
    /// metadata is ignored, because a killed nsqd has not updated this position.
    ///
    /// - Parameters:
    ///   - report: the import's report, to which damaged ranges are added.
    ///   - body: a closure that is called with each message. The message is valid during the call.
    func readMessages(
        _ report: inout NSQDImport.Report, _ body: (Message) throws(MessageLogError) -> Void
    ) throws(MessageLogError) {
        if position == nil {
            report.addRemark(
                "\(owner): the read position is missing, so finished messages may be redelivered")
        }
        var count = 0
        for number in numbers {
            let start = number == position?.file ? position!.offset : 0
            let name = NSQDQueueFile.name(of: owner, number)
            let file: InputFile
            do throws(MessageLogError) { file = try InputFile(name, in: folder) } catch {
                report.addDamage("\(error)")
                continue
            }
            try read(file, name, from: start, &report) { message throws(MessageLogError) in
                count += 1
                try body(message)
            }
        }
        if let depth = position?.depth, count < depth {
            report.addDamage("\(owner): \(count) of \(depth) messages found")
        }
    }

    private func read(
        _ file: InputFile, _ name: String, from start: Int, _ report: inout NSQDImport.Report,
        _ body: (Message) throws(MessageLogError) -> Void
    ) throws(MessageLogError) {
        let end = file.byteCount
        var offset = start
        while offset < end {
            guard let size = try messageBytes(in: file, at: offset, end) else {
                return report.addDamage("\(name), bytes \(offset) to \(end): not a message")
            }
            let record = try file.bytes(offset + 4..<offset + 4 + size)
            guard record.count == size else {
                return report.addDamage("\(name): became shorter while it was read")
            }
            try body(Message(record))
            offset += 4 + size
        }
    }

    /// Returns the size of the message at `offset`, in bytes; `nil` if it is invalid.
    private func messageBytes(
        in file: InputFile, at offset: Int, _ end: Int
    ) throws(MessageLogError) -> Int? {
        guard end - offset >= 4, case let head = try file.bytes(offset..<offset + 4),
            head.count == 4, case let size = Int(head.bigEndian(at: 0, as: Int32.self)),
            Message.headerBytes...Message.maxBytes ~= size, end - offset - 4 >= size
        else { return nil }
        return size
    }
}
