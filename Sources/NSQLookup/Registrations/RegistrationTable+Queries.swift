import NSQWire
import TallyBasics

/// The queries of the HTTP API. Names are sorted, and nsqds are in the order in which they
/// connected. Go's nsqlookupd returns both in a random order.
extension RegistrationTable {
    package var topicCount: Int { topics.count }
    /// The number of channels of all topics.
    package var channelCount: Int { channels.values.reduce(0) { $0 + $1.count } }
    /// The number of connected nsqds that have identified themselves.
    package var peerCount: Int { peers.count }

    package var topicNames: [String] { topics.keys.sorted().map(\.text) }

    /// Returns `true` if at least one topic is selected.
    package func hasTopic(_ selection: TopicSelection) -> Bool {
        switch selection {
        case .one(let topic): topics[topic] != nil
        case .all: !topics.isEmpty
        case .none: false
        }
    }

    /// Returns the names of the channels of the selected topics.
    package func channelNames(of selection: TopicSelection) -> [String] {
        selectedChannels(selection).flatMap { $0.channels.map(\.text) }
    }

    /// Returns the nsqds that consumers of the selected topics should connect to: the active ones
    /// without a tombstone.
    package func producers(of selection: TopicSelection, at now: Timestamp) -> [PeerInfo] {
        var found: [PeerID: TopicProducer] = [:]
        for topic in selectedTopics(selection) {
            found.merge(topics[topic]!.producers) { first, _ in first }
        }
        return found.sorted { $0.key < $1.key }.compactMap { id, producer in
            guard let peer = peers[id], isActive(peer, at: now),
                !isValid(producer.tombstonedAt, at: now)
            else { return nil }
            return peer.info
        }
    }

    /// An nsqd and its topics.
    package struct Node: Equatable {
        /// The description that the nsqd has sent with IDENTIFY.
        package var info: PeerInfo
        /// The topics for which the nsqd is registered, and whether it is tombstoned for each of
        /// them.
        package var topics: [(name: String, isTombstoned: Bool)]

        package static func == (one: Node, other: Node) -> Bool {
            one.info == other.info && one.topics.map(\.name) == other.topics.map(\.name)
                && one.topics.map(\.isTombstoned) == other.topics.map(\.isTombstoned)
        }
    }

    /// Returns all active nsqds, with their tombstones.
    package func nodes(at now: Timestamp) -> [Node] {
        peers.sorted { $0.key < $1.key }.filter { isActive($0.value, at: now) }.map { id, peer in
            Node(
                info: peer.info,
                topics: peer.topics.sorted().map { topic in
                    (topic.text, isValid(topics[topic]?.producers[id]?.tombstonedAt, at: now))
                })
        }
    }

    /// One nsqd of a registration, for `/debug`.
    package struct DebugEntry {
        /// The description that the nsqd has sent with IDENTIFY.
        package var info: PeerInfo
        /// The time of the last PING; before the first PING, the time of IDENTIFY.
        package var lastUpdate: Timestamp
        /// The time at which the nsqd was tombstoned for the topic, even if the tombstone has
        /// expired.
        package var tombstonedAt: Timestamp?
    }

    /// Returns every registration with at least one nsqd.
    package func debugEntries() -> [(registration: Registration, entries: [DebugEntry])] {
        var all: [(Registration, [DebugEntry])] = []
        for (topic, names) in channels.sorted(by: { $0.key < $1.key }) {
            for (channel, ids) in names.sorted(by: { $0.key < $1.key }) {
                all.append((.channel(topic, channel), ids.sorted().compactMap { entry($0) }))
            }
        }
        all.append((.client, peers.keys.sorted().compactMap { entry($0) }))
        for (topic, entry) in topics.sorted(by: { $0.key < $1.key }) {
            let producers = entry.producers.sorted { $0.key < $1.key }
            all.append(
                (.topic(topic), producers.compactMap { self.entry($0.key, $0.value.tombstonedAt) }))
        }
        return all.filter { !$0.1.isEmpty }
    }

    private func entry(_ id: PeerID, _ tombstone: Timestamp? = nil) -> DebugEntry? {
        peers[id].map {
            DebugEntry(info: $0.info, lastUpdate: $0.lastUpdate, tombstonedAt: tombstone)
        }
    }

    private func isActive(_ peer: Peer, at now: Timestamp) -> Bool {
        peer.isActive(at: now, timeout: limits.inactiveProducerTimeout)
    }

    /// Returns `true` if a tombstone exists and its lifetime has not passed.
    func isValid(_ tombstone: Timestamp?, at now: Timestamp) -> Bool {
        guard let tombstone else { return false }
        let age = now.monotonic.subtractingSaturated(tombstone.monotonic)
        return age < limits.tombstoneLifetime.nanoseconds
    }
}
