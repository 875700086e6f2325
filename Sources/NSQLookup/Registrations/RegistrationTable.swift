import NSQWire
import TallyBasics

/// The topics, channels and nsqds that are registered at nsqlookupd. A pure value: no I/O, and time
/// is an argument.
///
/// A topic or a channel stays in the table until it is deleted, even if no nsqd has it. An
/// ephemeral topic or channel is removed when its last nsqd unregisters it.
///
/// If an nsqd stops sending PING, responses no longer list it after
/// ``Limits/inactiveProducerTimeout``. It is removed when `LookupConnection` closes its connection.
package struct RegistrationTable {
    /// An nsqd that is registered for a topic.
    struct TopicProducer {
        /// The time at which it was tombstoned; `nil` if it was not.
        var tombstonedAt: Timestamp?
    }

    /// The nsqds of one topic.
    struct Topic {
        var producers: [PeerID: TopicProducer] = [:]
        /// Tombstones from before a restart, by the name of the nsqd. A tombstone takes effect when
        /// this nsqd registers again.
        var restoredTombstones: [String: Timestamp] = [:]
    }

    /// The limits of the table.
    package struct Limits: Sendable {
        /// An nsqd whose last PING is older than this is not listed.
        package var inactiveProducerTimeout = Duration.seconds(300)
        /// The time for which a tombstoned nsqd is not listed for its topic.
        package var tombstoneLifetime = Duration.seconds(45)
        /// The maximum number of entries. Each topic and each channel is one entry, and so is each
        /// nsqd of each of them.
        package var maxEntries = 1_000_000

        /// Creates the default limits.
        package init() {}
    }

    let limits: Limits
    // INVARIANT: `peers` lists the same registrations as `topics` and `channels`, and `entryCount` is
    // their number.
    private(set) var peers: [PeerID: Peer] = [:]
    private(set) var topics: [TopicName: Topic] = [:]
    private(set) var channels: [TopicName: [ChannelName: Set<PeerID>]] = [:]
    /// The number of entries: each topic and each channel is one entry, and so is each nsqd of each
    /// of them.
    package private(set) var entryCount = 0
    /// A number that increases with each change that must be stored on disk.
    package private(set) var revision = 0

    /// Creates an empty table.
    package init(_ limits: Limits = Limits()) { self.limits = limits }

    // MARK: Peers

    /// Adds an nsqd that has identified itself.
    package mutating func add(_ peer: PeerID, _ info: PeerInfo, at now: Timestamp) {
        peers[peer] = Peer(info: info, lastUpdate: now)
    }

    /// Records a PING.
    ///
    /// - Returns: the time since the previous PING or IDENTIFY; `nil` if the nsqd has not
    ///   identified itself.
    package mutating func ping(from peer: PeerID, at now: Timestamp) -> Duration? {
        guard let last = peers[peer]?.lastUpdate else { return nil }
        peers[peer]?.lastUpdate = now
        return .nanoseconds(now.monotonic.subtractingSaturated(last.monotonic))
    }

    /// Removes an nsqd that has disconnected.
    ///
    /// - Returns: its registrations; empty if it has not identified itself.
    package mutating func remove(_ peer: PeerID) -> [Registration] {
        guard let removed = peers[peer] else { return [] }
        var registrations: [Registration] = []
        for topic in removed.topics.sorted() {
            _ = removeProducer(peer, of: topic)
            registrations.append(.topic(topic))
        }
        for (topic, names) in removed.channels.sorted(by: { $0.key < $1.key }) {
            for channel in names.sorted() {
                _ = removeProducer(peer, of: channel, topic)
                registrations.append(.channel(topic, channel))
            }
        }
        peers[peer] = nil
        return registrations + [.client]
    }

    // MARK: Registrations of nsqds

    /// Registers an nsqd for a topic, and for one of its channels if `channel` is not `nil`.
    ///
    /// - Returns: the registrations that are new.
    /// - Throws: ``RegistrationLimitReached`` if the table is full; then nothing has changed.
    package mutating func register(
        _ topic: TopicName, _ channel: ChannelName?, by peer: PeerID, at now: Timestamp
    ) throws(RegistrationLimitReached) -> [Registration] {
        guard peers[peer] != nil else { return [] }
        // A registration adds at most four entries: a topic, a channel, and the nsqd of each of
        // them.
        guard entryCount + 4 <= limits.maxEntries || isRegistered(topic, channel, by: peer) else {
            throw RegistrationLimitReached()
        }
        var new: [Registration] = []
        if let channel, addProducer(peer, of: channel, topic) {
            new.append(.channel(topic, channel))
        }
        if addProducer(peer, of: topic, at: now) { new.append(.topic(topic)) }
        return new
    }

    private func isRegistered(
        _ topic: TopicName, _ channel: ChannelName?, by peer: PeerID
    ) -> Bool {
        guard let peer = peers[peer], peer.topics.contains(topic) else { return false }
        return channel.map { peer.channels[topic]?.contains($0) == true } ?? true
    }

    /// The registrations that an UNREGISTER command has removed.
    package struct Unregistration: Equatable {
        /// The channels of a topic that the nsqd should have unregistered before the topic.
        package var unexpected: [Registration] = []
        /// The topic or channel in the command; `nil` if the nsqd was not registered for it.
        package var expected: Registration?
    }

    /// Removes the registration of an nsqd for a channel, or for a topic and all its channels.
    package mutating func unregister(
        _ topic: TopicName, _ channel: ChannelName?, by peer: PeerID
    ) -> Unregistration {
        var result = Unregistration()
        if let channel {
            if removeProducer(peer, of: channel, topic) {
                result.expected = .channel(topic, channel)
            }
            if channel.isEphemeral, channels[topic]?[channel]?.isEmpty == true {
                removeChannel(channel, of: topic)
            }
            return result
        }
        for channel in (peers[peer]?.channels[topic] ?? []).sorted() {
            _ = removeProducer(peer, of: channel, topic)
            result.unexpected.append(.channel(topic, channel))
        }
        if removeProducer(peer, of: topic) { result.expected = .topic(topic) }
        if topic.isEphemeral, topics[topic]?.producers.isEmpty == true { removeTopic(topic) }
        return result
    }

    // MARK: Changes over HTTP

    /// Creates a topic, if it does not exist.
    ///
    /// - Throws: ``RegistrationLimitReached`` if the table is full.
    package mutating func createTopic(_ topic: TopicName) throws(RegistrationLimitReached) {
        guard topics[topic] == nil else { return }
        guard entryCount < limits.maxEntries else { throw RegistrationLimitReached() }
        insertTopic(topic)
    }

    /// Creates a channel and its topic, if they do not exist.
    ///
    /// - Throws: ``RegistrationLimitReached`` if the table is full; then nothing has changed.
    package mutating func createChannel(
        _ channel: ChannelName, of topic: TopicName
    ) throws(RegistrationLimitReached) {
        let newCount =
            (topics[topic] == nil ? 1 : 0) + (channels[topic]?[channel] == nil ? 1 : 0)
        guard entryCount + newCount <= limits.maxEntries else { throw RegistrationLimitReached() }
        insertChannel(channel, of: topic)
        insertTopic(topic)
    }

    /// Deletes topics and their channels.
    ///
    /// - Returns: the deleted channels, and then the deleted topics.
    package mutating func deleteTopics(_ selection: TopicSelection) -> [Registration] {
        var removed: [Registration] = []
        for (topic, names) in selectedChannels(selection) {
            for channel in names {
                removeChannel(channel, of: topic)
                removed.append(.channel(topic, channel))
            }
        }
        for topic in selectedTopics(selection) {
            removeTopic(topic)
            removed.append(.topic(topic))
        }
        return removed
    }

    /// Deletes a channel.
    ///
    /// - Returns: `false` if it does not exist.
    package mutating func deleteChannel(_ channel: ChannelName, of topic: TopicName) -> Bool {
        guard channels[topic]?[channel] != nil else { return false }
        removeChannel(channel, of: topic)
        return true
    }

    /// Tombstones an nsqd for topics: responses do not list it for these topics until the lifetime
    /// of the tombstone has passed, or until the nsqd registers again.
    ///
    /// - Parameter node: the broadcast address and the HTTP port of the nsqd, as `host:port`.
    package mutating func tombstone(
        _ selection: TopicSelection, node: String, at now: Timestamp
    ) {
        for topic in selectedTopics(selection) {
            for peer in topics[topic]!.producers.keys where peers[peer]?.info.node == node {
                topics[topic]!.producers[peer]!.tombstonedAt = now
                revision += 1
            }
        }
    }

    // MARK: State from before a restart

    /// Adds a topic from the state file, with its channels and tombstones. The limit of entries
    /// does not apply here: entries that are not restored would be lost at the next write of the
    /// file.
    ///
    /// - Parameter tombstones: the times of the tombstones by the names of the nsqds.
    mutating func restore(
        _ topic: TopicName?, channels names: [ChannelName], of parent: TopicName,
        tombstones: [String: Timestamp]
    ) {
        for channel in names { insertChannel(channel, of: parent) }
        guard let topic else { return }
        insertTopic(topic)
        topics[topic]!.restoredTombstones = tombstones
    }

    // MARK: Selections

    /// Returns the names of the existing topics of a selection, sorted.
    func selectedTopics(_ selection: TopicSelection) -> [TopicName] {
        switch selection {
        case .one(let topic): topics[topic] == nil ? [] : [topic]
        case .all: topics.keys.sorted()
        case .none: []
        }
    }

    /// Returns the channels of the selected topics, sorted.
    func selectedChannels(
        _ selection: TopicSelection
    ) -> [(topic: TopicName, channels: [ChannelName])] {
        let selected: [TopicName] =
            switch selection {
            case .one(let topic): [topic]
            case .all: channels.keys.sorted()
            case .none: []
            }
        return selected.compactMap { topic in
            channels[topic].map { (topic, $0.keys.sorted()) }
        }
    }

    // MARK: Entries

    private mutating func insertTopic(_ topic: TopicName) {
        guard topics[topic] == nil else { return }
        topics[topic] = Topic()
        entryCount += 1
        revision += 1
    }

    private mutating func insertChannel(_ channel: ChannelName, of topic: TopicName) {
        guard channels[topic]?[channel] == nil else { return }
        channels[topic, default: [:]][channel] = []
        entryCount += 1
        revision += 1
    }

    private mutating func addProducer(
        _ peer: PeerID, of topic: TopicName, at now: Timestamp
    ) -> Bool {
        insertTopic(topic)
        guard peers[peer]!.topics.insert(topic).inserted else { return false }
        let node = peers[peer]!.info.node
        let restored = topics[topic]!.restoredTombstones.removeValue(forKey: node)
        topics[topic]!.producers[peer] = TopicProducer(tombstonedAt: restored)
        entryCount += 1
        return true
    }

    private mutating func addProducer(
        _ peer: PeerID, of channel: ChannelName, _ topic: TopicName
    ) -> Bool {
        insertChannel(channel, of: topic)
        guard channels[topic]![channel]!.insert(peer).inserted else { return false }
        peers[peer]!.channels[topic, default: []].insert(channel)
        entryCount += 1
        return true
    }

    private mutating func removeProducer(_ peer: PeerID, of topic: TopicName) -> Bool {
        guard peers[peer]?.topics.remove(topic) != nil else { return false }
        let removed = topics[topic]?.producers.removeValue(forKey: peer)
        if removed?.tombstonedAt != nil { revision += 1 }
        entryCount -= 1
        return true
    }

    private mutating func removeProducer(
        _ peer: PeerID, of channel: ChannelName, _ topic: TopicName
    ) -> Bool {
        guard channels[topic]?[channel]?.remove(peer) != nil else { return false }
        peers[peer]?.channels[topic]?.remove(channel)
        if peers[peer]?.channels[topic]?.isEmpty == true { peers[peer]?.channels[topic] = nil }
        entryCount -= 1
        return true
    }

    private mutating func removeTopic(_ topic: TopicName) {
        guard let removed = topics.removeValue(forKey: topic) else { return }
        for peer in removed.producers.keys { peers[peer]?.topics.remove(topic) }
        entryCount -= 1 + removed.producers.count
        revision += 1
    }

    private mutating func removeChannel(_ channel: ChannelName, of topic: TopicName) {
        guard let removed = channels[topic]?.removeValue(forKey: channel) else { return }
        if channels[topic]?.isEmpty == true { channels[topic] = nil }
        for peer in removed {
            peers[peer]?.channels[topic]?.remove(channel)
            if peers[peer]?.channels[topic]?.isEmpty == true { peers[peer]?.channels[topic] = nil }
        }
        entryCount -= 1 + removed.count
        revision += 1
    }
}
