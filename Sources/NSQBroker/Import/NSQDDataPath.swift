import BrokerCore
import FoundationEssentials
import Glibc
import NSQWire

/// What a real nsqd that was stopped has left in its data path: `nsqd.dat` with topics and
/// channels, and a queue of messages for each.
///
/// Read as nsqd 1.3.0 writes it, and as much of it as makes sense.
struct NSQDDataPath {
    private(set) var topics: [NotedTopic] = []
    private(set) var queues: [NSQDQueue] = []
    /// What is as it should not be, though nothing is lost by it.
    private(set) var remarks: [String] = []

    static let metadataName = "nsqd.dat"

    /// - Throws: if it cannot be read, or is none, or an nsqd works with it.
    init(_ path: String) throws(LedgerError) {
        let folder = try QuietFolder(path)
        let names = try folder.names().sorted()
        if names.contains(Self.metadataName) {
            try readMetadata(folder)
        } else {
            remarks.append("there is no \(Self.metadataName): topics and channels by their queues")
        }
        try readQueues(names, folder)
        guard !topics.isEmpty else { throw LedgerError("there is no topic of nsqd in \(path)") }
        for name in names where name.hasSuffix(".bad") {
            remarks.append("\(name): nsqd could not read it, and it is not read here")
        }
    }

    // MARK: Topics and channels

    private struct Metadata: Decodable {
        var topics: [Topic]?

        struct Topic: Decodable {
            var name: String
            var paused: Bool?
            var channels: [Channel]?
        }

        struct Channel: Decodable {
            var name: String
            var paused: Bool?
        }
    }

    private mutating func readMetadata(_ folder: QuietFolder) throws(LedgerError) {
        let file = try MappedFile(Self.metadataName, in: folder)
        let metadata: Metadata
        do {
            metadata = try JSONDecoder().decode(Metadata.self, from: Data(file.bytes))
        } catch {
            throw LedgerError("\(folder.path)/\(Self.metadataName) is not what nsqd writes")
        }
        for topic in metadata.topics ?? [] { add(topic) }
    }

    /// As in nsqd, invalid names are skipped.
    private mutating func add(_ topic: Metadata.Topic) {
        guard let name = TopicName(topic.name), !name.isEphemeral else {
            return remarks.append("topic \(topic.name) is left out: it cannot be kept")
        }
        var noted = NotedTopic(name: name, isPaused: topic.paused ?? false, channels: [])
        for channel in topic.channels ?? [] {
            guard let name = ChannelName(channel.name), !name.isEphemeral else {
                remarks.append("channel \(channel.name) is left out: it cannot be kept")
                continue
            }
            noted.channels.append(.init(name: name, isPaused: channel.paused ?? false))
        }
        topics.append(noted)
    }

    // MARK: Queues

    private mutating func readQueues(
        _ names: [String], _ folder: QuietFolder
    ) throws(LedgerError) {
        for owner in Set(names.compactMap(NSQDQueue.owner)).sorted() {
            guard let (topic, channel) = Self.names(in: owner) else {
                remarks.append("\(owner): no topic or channel can have this name")
                continue
            }
            let queue = try NSQDQueue(owner, topic, channel, names, folder)
            guard !queue.isEmpty else { continue }
            queues.append(queue)
            makeKnown(topic, channel, owner)
        }
    }

    /// `TOPIC` or `TOPIC:CHANNEL`.
    private static func names(in owner: String) -> (TopicName, ChannelName?)? {
        let parts = owner.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let topic = TopicName(String(parts[0])) else { return nil }
        guard parts.count == 2 else { return (topic, nil) }
        return ChannelName(String(parts[1])).map { (topic, $0) }
    }

    private mutating func makeKnown(
        _ topic: TopicName, _ channel: ChannelName?, _ owner: String
    ) {
        let place = topics.firstIndex { $0.name == topic } ?? topics.endIndex
        if place == topics.endIndex {
            topics.append(NotedTopic(name: topic, isPaused: false, channels: []))
            remarks.append("\(owner): its topic is in no list, and comes into being")
        }
        guard let channel, !topics[place].channels.contains(where: { $0.name == channel }) else {
            return
        }
        topics[place].channels.append(.init(name: channel, isPaused: false))
        remarks.append("\(owner): its channel is in no list, and comes into being")
    }
}

/// A file's bytes, as long as this lives.
final class MappedFile {
    let bytes: Bytes

    init(_ name: String, in folder: QuietFolder) throws(LedgerError) {
        let descriptor = try folder.open(name)
        defer { close(descriptor) }
        let count = try Files.byteCount(of: descriptor, folder.path)
        guard count > 0 else {
            bytes = Bytes(start: nil, count: 0)
            return
        }
        let place = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let place, place != MAP_FAILED else {
            throw Files.failure("cannot read", "\(folder.path)/\(name)")
        }
        bytes = Bytes(start: place, count: count)
    }

    deinit {
        if let start = bytes.baseAddress {
            munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
        }
    }
}
