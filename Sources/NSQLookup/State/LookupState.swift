import NSQWire
import TallyBasics
import TallyJSON

/// The state that survives a restart of nsqlookupd: topics and channels that are not ephemeral, and
/// tombstones.
///
/// It does not contain nsqds, because they reconnect and register again.
struct LookupState: Equatable {
    struct Topic: Equatable {
        var name: TopicName
        /// `false` if only channels of the topic are registered.
        var exists = true
        var channels: [ChannelName] = []
        var tombstones: [Tombstone] = []
    }

    struct Tombstone: Equatable {
        /// The broadcast address and the HTTP port of the nsqd, as `host:port`.
        var node: String
        /// The time since 1970 in nanoseconds.
        var wallNanoseconds: Int64
    }

    var topics: [Topic] = []

    static let version = 1
}

// MARK: - From and to the table

extension LookupState {
    /// Collects the state of a table, without tombstones whose lifetime has passed.
    init(of table: RegistrationTable, at now: Timestamp) {
        for name in Set(table.topics.keys).union(table.channels.keys).sorted()
        where !name.isEphemeral {
            var topic = Topic(name: name, exists: table.topics[name] != nil)
            topic.channels = (table.channels[name] ?? [:]).keys.filter { !$0.isEphemeral }.sorted()
            topic.tombstones = Self.tombstones(of: name, in: table, at: now)
            topics.append(topic)
        }
    }

    private static func tombstones(
        of topic: TopicName, in table: RegistrationTable, at now: Timestamp
    ) -> [Tombstone] {
        guard let entry = table.topics[topic] else { return [] }
        var times = entry.restoredTombstones
        for (id, producer) in entry.producers {
            guard let time = producer.tombstonedAt, let peer = table.peers[id] else { continue }
            times[peer.info.node] = time
        }
        return times.filter { table.isValid($0.value, at: now) }
            .map { Tombstone(node: $0.key, wallNanoseconds: $0.value.wall) }
            .sorted { $0.node < $1.node }
    }

    /// Adds the state to a new table.
    func restore(_ table: inout RegistrationTable, at now: Timestamp) {
        for topic in topics {
            var tombstones: [String: Timestamp] = [:]
            for tombstone in topic.tombstones {
                // A clock that was set back must not extend a tombstone.
                let age = max(0, now.wall.subtractingSaturated(tombstone.wallNanoseconds))
                let time = now + .nanoseconds(-age)
                if table.isValid(time, at: now) { tombstones[tombstone.node] = time }
            }
            table.restore(
                topic.exists ? topic.name : nil, channels: topic.channels, of: topic.name,
                tombstones: tombstones)
        }
    }
}

// MARK: - JSON

extension LookupState {
    /// The error for a file that does not contain a valid state.
    struct Malformed: Error {}

    var json: [UInt8] {
        JSONWriter.object { json in
            json.member("version", Self.version)
            json.name("topics")
            json.array(topics) { json, topic in
                json.object { json in
                    json.member("name", topic.name.text)
                    json.member("exists", topic.exists)
                    json.member("channels", topic.channels.map(\.text))
                    json.name("tombstones")
                    json.array(topic.tombstones) { json, tombstone in
                        json.object { json in
                            json.member("node", tombstone.node)
                            json.member("at", Int(tombstone.wallNanoseconds))
                        }
                    }
                }
            }
        }
    }

    init(parsing text: [UInt8]) throws(Malformed) {
        guard let json = try? JSONValue(parsingStrictly: text, maxDepth: 6),
            json["version"].flatMap({ Int(json: $0) }) == Self.version,
            case .array(let topics) = json["topics"]
        else { throw Malformed() }
        for value in topics {
            guard let topic = Topic(json: value) else { throw Malformed() }
            self.topics.append(topic)
        }
    }
}

extension LookupState.Topic {
    fileprivate init?(json: JSONValue) {
        guard let name = json["name"].flatMap({ String(json: $0) }).flatMap({ TopicName($0) }),
            let exists = json["exists"].flatMap({ Bool(json: $0) }),
            let channels = json["channels"].flatMap({ [String](json: $0) }),
            case .array(let tombstones) = json["tombstones"]
        else { return nil }
        self.name = name
        self.exists = exists
        self.channels = channels.compactMap { ChannelName($0) }
        self.tombstones = tombstones.compactMap { LookupState.Tombstone(json: $0) }
        guard self.channels.count == channels.count, self.tombstones.count == tombstones.count
        else { return nil }
    }
}

extension LookupState.Tombstone {
    fileprivate init?(json: JSONValue) {
        guard let node = json["node"].flatMap({ String(json: $0) }),
            let time = json["at"].flatMap({ Int(json: $0) })
        else { return nil }
        self.init(node: node, wallNanoseconds: Int64(time))
    }
}
