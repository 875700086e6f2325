import BrokerCore
import NSQWire
import TallyJSON

/// The data path of a stopped nsqd 1.3.0. The folder contains `nsqd.dat` with the topics and
/// channels, and a disk queue for each topic and channel. Invalid parts are skipped and reported.
struct NSQDDataPath {
    private(set) var topics: [TopicSnapshot] = []
    private(set) var queues: [NSQDQueue] = []
    /// The irregularities found so far.
    private(set) var report = NSQDImport.Report()
    /// The index of each topic in ``topics``.
    private var topicIndexes: [TopicName: Int] = [:]
    /// The channels that ``topics`` contains already, to find duplicates.
    private var knownChannels: [TopicName: Set<ChannelName>] = [:]

    static let metadataName = "nsqd.dat"
    /// The maximum size of `nsqd.dat` in bytes, which is enough for millions of channels.
    private static let maxMetadataBytes = 256 << 20

    /// Returns `true` if a file of this name belongs to nsqd's data path.
    static func isFile(_ name: String) -> Bool {
        name == metadataName || NSQDQueueFile(name) != nil
    }

    /// Reads the data path in `folder`.
    ///
    /// - Throws: an error if the folder or `nsqd.dat` cannot be read.
    init(_ folder: LockedFolder) throws(MessageLogError) {
        let names = try folder.names(where: Self.isFile).sorted()
        if names.contains(Self.metadataName) {
            try readMetadata(folder)
        } else {
            report.addRemark(
                "\(Self.metadataName) is missing: the names of the queue files supply topics and channels"
            )
        }
        let files = names.compactMap { NSQDQueueFile($0) }
        for (owner, files) in Dictionary(grouping: files, by: \.owner).sorted(by: {
            $0.key < $1.key
        }) {
            addQueue(owner, files, folder)
        }
        for name in names where NSQDQueueFile(name)?.part == .bad {
            report.addRemark("\(name): skipped, because nsqd could not read it")
        }
    }

    // MARK: Topics and channels

    private struct Topic: JSONReadable {
        var name: String
        var paused = false
        var channels: [Channel] = []

        init?(json value: JSONValue) {
            guard let name = value["name"].flatMap({ String(json: $0) }) else { return nil }
            self.name = name
            do throws(JSONError) {
                try value["paused"]?.read(into: &paused)
                try value["channels"]?.read(into: &channels)
            } catch {
                return nil
            }
        }
    }

    private struct Channel: JSONReadable {
        var name: String
        var paused = false

        init?(json value: JSONValue) {
            guard let name = value["name"].flatMap({ String(json: $0) }) else { return nil }
            self.name = name
            do throws(JSONError) {
                try value["paused"]?.read(into: &paused)
            } catch {
                return nil
            }
        }
    }

    private mutating func readMetadata(_ folder: LockedFolder) throws(MessageLogError) {
        let file = try InputFile(Self.metadataName, in: folder)
        let bytes = try file.allBytes(limit: Self.maxMetadataBytes)
        var topics: [Topic] = []
        do throws(JSONError) {
            let metadata = try JSONValue(parsingLikeGo: bytes, keptDepth: 5)
            guard case .object = metadata else { throw .malformed }
            try metadata["topics"]?.read(into: &topics)
        } catch {
            throw MessageLogError(
                "\(folder.path)/\(Self.metadataName) is not a valid nsqd metadata file")
        }
        for topic in topics { add(topic) }
    }

    /// Adds a topic with its channels. As in nsqd, invalid names are skipped. A name that occurs
    /// twice is one topic or channel, which is paused if one of the two entries is paused.
    private mutating func add(_ topic: Topic) {
        guard let name = TopicName(topic.name), !name.isEphemeral else {
            return report.addRemark(
                "topic \(topic.name) skipped: its name is invalid or ephemeral")
        }
        let index = index(of: name).index
        if topic.paused { topics[index].isPaused = true }
        for channel in topic.channels {
            guard let name = ChannelName(channel.name), !name.isEphemeral else {
                report.addRemark(
                    "channel \(channel.name) skipped: its name is invalid or ephemeral")
                continue
            }
            _ = add(name, isPaused: channel.paused, toTopicAt: index)
        }
    }

    /// Returns the index of a topic, which is created if it is missing.
    private mutating func index(of topic: TopicName) -> (index: Int, isNew: Bool) {
        if let index = topicIndexes[topic] { return (index, false) }
        topicIndexes[topic] = topics.count
        topics.append(TopicSnapshot(name: topic, isPaused: false, channels: []))
        return (topics.count - 1, true)
    }

    /// Adds a channel, or pauses an existing one if `isPaused` is `true`.
    ///
    /// - Returns: `true` if the channel is new.
    private mutating func add(
        _ channel: ChannelName, isPaused: Bool, toTopicAt index: Int
    ) -> Bool {
        guard !knownChannels[topics[index].name, default: []].insert(channel).inserted else {
            topics[index].channels.append(.init(name: channel, isPaused: isPaused))
            return true
        }
        if isPaused, let place = topics[index].channels.firstIndex(where: { $0.name == channel }) {
            topics[index].channels[place].isPaused = true
        }
        return false
    }

    // MARK: Queues

    private mutating func addQueue(
        _ owner: String, _ files: [NSQDQueueFile], _ folder: LockedFolder
    ) {
        guard let (topic, channel) = Self.names(in: owner) else {
            return report.addRemark(
                "\(owner): skipped, because it is not a valid topic or channel name")
        }
        let queue: NSQDQueue
        do throws(MessageLogError) {
            queue = try NSQDQueue(owner, topic, channel, files, folder)
        } catch {
            report.addDamage("\(error)")
            // Without the metadata file, the queue is read from its start.
            let messages = files.filter { $0.part != .metadata }
            guard let rest = try? NSQDQueue(owner, topic, channel, messages, folder) else { return }
            queue = rest
        }
        guard !queue.isEmpty else { return }
        queues.append(queue)
        addIfMissing(topic, channel, owner)
    }

    /// Parses a queue's owner, `TOPIC` or `TOPIC:CHANNEL`. The result is `nil` if a name is
    /// invalid.
    private static func names(in owner: String) -> (TopicName, ChannelName?)? {
        let parts = owner.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let topic = TopicName(String(parts[0])) else { return nil }
        guard parts.count == 2 else { return (topic, nil) }
        return ChannelName(String(parts[1])).map { (topic, $0) }
    }

    private mutating func addIfMissing(
        _ topic: TopicName, _ channel: ChannelName?, _ owner: String
    ) {
        let (index, isNew) = index(of: topic)
        if isNew {
            report.addRemark("\(owner): its topic is not in \(Self.metadataName), and is created")
        }
        guard let channel, add(channel, isPaused: false, toTopicAt: index) else { return }
        report.addRemark("\(owner): its channel is not in \(Self.metadataName), and is created")
    }
}
