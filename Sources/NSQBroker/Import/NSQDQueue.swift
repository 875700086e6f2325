import BrokerCore
import NSQWire

/// The messages that nsqd has left for a topic or a channel: files `OWNER.diskqueue.000000.dat` and
/// so on, and in `OWNER.diskqueue.meta.dat` where it has come to.
///
/// A file is records, each with its size before it: timestamp (8 bytes), attempts (2), ID (16),
/// body; all numbers big-endian.
struct NSQDQueue {
    let topic: TopicName
    let channel: ChannelName?
    private let owner: String
    private let folder: QuietFolder
    private let numbers: [Int]
    private var position: Position?

    /// What stands in the metadata.
    private struct Position {
        var depth: Int
        var file: Int
        var offset: Int

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

        init(_ record: Bytes) {
            timestampNanoseconds = record.bigEndian(at: 0, as: Int64.self)
            attempts = record.bigEndian(at: 8, as: UInt16.self)
            body = record.view(Self.headerBytes..<record.count)
        }
    }

    /// Whose file it is, if it is a queue's.
    static func owner(of name: String) -> String? {
        guard name.hasSuffix(".dat"), let mark = name.ranges(of: mark).last else { return nil }
        return String(name[..<mark.lowerBound])
    }

    private static let mark = ".diskqueue."

    init(
        _ owner: String, _ topic: TopicName, _ channel: ChannelName?, _ names: [String],
        _ folder: QuietFolder
    ) throws(LedgerError) {
        self.owner = owner
        self.topic = topic
        self.channel = channel
        self.folder = folder
        let metadata = owner + Self.mark + "meta.dat"
        if names.contains(metadata) {
            let file = try MappedFile(metadata, in: folder)
            position = Position(String(decoding: file.bytes, as: UTF8.self))
        }
        let start = position?.file ?? 0
        numbers = names.filter { Self.owner(of: $0) == owner }
            .compactMap { Int($0.dropFirst(owner.utf8.count + Self.mark.utf8.count).dropLast(4)) }
            .filter { $0 >= start }.sorted()
    }

    var isEmpty: Bool { numbers.isEmpty }

    private func name(of number: Int) -> String {
        let digits = String(number)
        let zeros = String(repeating: "0", count: max(0, 6 - digits.count))
        return owner + Self.mark + zeros + digits + ".dat"
    }

    /// Reads all messages, in their order, to the end of what was written: what nsqd had no time to
    /// note, too.
    ///
    /// - Parameters:
    ///   - report: is told of what cannot be read.
    ///   - take: is given each message, for the length of the call.
    func read(
        _ report: inout NSQDImport.Report, _ take: (Message) throws(LedgerError) -> Void
    ) throws(LedgerError) {
        if position == nil {
            report.remarks.append(
                "\(owner): nothing says where nsqd has come to; messages may come once more")
        }
        var count = 0
        for number in numbers {
            let start = number == position?.file ? position!.offset : 0
            try read(number, from: start, &report) { message throws(LedgerError) in
                count += 1
                try take(message)
            }
        }
        if let depth = position?.depth, count < depth {
            report.damages.append("\(owner): nsqd had \(depth) messages, \(count) of them are here")
        }
    }

    private func read(
        _ number: Int, from start: Int, _ report: inout NSQDImport.Report,
        _ take: (Message) throws(LedgerError) -> Void
    ) throws(LedgerError) {
        let file = try MappedFile(name(of: number), in: folder)
        let bytes = file.bytes
        var offset = start
        while offset < bytes.count {
            guard bytes.count - offset >= 4,
                case let size = Int(bytes.bigEndian(at: offset, as: Int32.self)),
                size >= Message.headerBytes, bytes.count - offset - 4 >= size
            else {
                report.damages.append(
                    "\(name(of: number)), bytes \(offset) to \(bytes.count): no message")
                return
            }
            try take(Message(bytes.view(offset + 4..<offset + 4 + size)))
            offset += 4 + size
        }
    }
}
