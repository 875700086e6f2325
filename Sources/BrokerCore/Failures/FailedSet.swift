import NSQWire
import TallyJSON

/// The topic with the failed messages of one channel, `TOPIC.CHANNEL.failed`, whose channel `failed`
/// holds them.
package enum FailedSet {
    private static let suffix = ".failed"
    private static let maxBytes = 64

    /// The channel that holds the failed messages.
    package static let channel = ChannelName("failed")!

    /// Returns the topic with the failed messages of a channel.
    ///
    /// A name beyond 64 characters is shortened to its first 48 characters, `-`, and eight hex digits of
    /// its FNV-1a hash, before `.failed`.
    package static func topic(of channel: ChannelName, _ topic: TopicName) -> TopicName {
        let text = "\(topic.text).\(channel.text)"
        let isShort = text.utf8.count + suffix.utf8.count <= maxBytes
        let start = isShort ? text : String(text.prefix(48)) + "-" + hash(text)
        guard let name = TopicName(start + suffix) else {
            preconditionFailure("names that are not ephemeral consist of the characters of names")
        }
        return name
    }

    private static func hash(_ text: String) -> String {
        let hash = text.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

extension TopicName {
    /// `true` if the name is that of a failed set.
    package var isFailedSet: Bool { text.hasSuffix(".failed") }
}

/// A failed message: a line of JSON about its origin, and the unchanged body.
package struct FailedMessage: Equatable, Sendable {
    package var topic: TopicName
    package var channel: ChannelName
    package var reason: Reason
    /// The number of deliveries.
    package var attempts: Int
    /// The message ID in the channel of origin.
    package var id: String
    /// The time of the publish, in nanoseconds since 1970.
    package var publishedAt: Int
    /// The time at which the message was moved to the failed set, in nanoseconds since 1970.
    package var failedAt: Int
    package var body: [UInt8]

    /// The reason why a message has failed.
    package enum Reason: String, Sendable {
        /// It was delivered as often as the channel's limit permits.
        case attempts
        /// It became older than the lifetime of its topic; see ``BrokerOptions/keepsExpired``.
        case expired
    }

    /// The maximum size of the line of JSON in bytes.
    package static let maxHeadBytes = 1_024

    /// The body of the message in the failed set.
    var encoded: [UInt8] {
        let head = JSONWriter.object { json in
            json.member("topic", topic.text)
            json.member("channel", channel.text)
            json.member("reason", reason.rawValue)
            json.member("attempts", attempts)
            json.member("id", id)
            json.member("published_at", publishedAt)
            json.member("failed_at", failedAt)
        }
        return head + [UInt8(ascii: "\n")] + body
    }

    init(
        topic: TopicName, channel: ChannelName, reason: Reason, attempts: Int, id: String,
        publishedAt: Int, failedAt: Int, body: [UInt8]
    ) {
        self.topic = topic
        self.channel = channel
        self.reason = reason
        self.attempts = attempts
        self.id = id
        self.publishedAt = publishedAt
        self.failedAt = failedAt
        self.body = body
    }

    /// Parses the body of a message in the failed set, which any client can have published.
    ///
    /// - Returns: `nil` if it is malformed.
    package init?(parsing bytes: Bytes) {
        guard let end = bytes.prefix(Self.maxHeadBytes).firstIndex(of: UInt8(ascii: "\n")),
            let json = try? JSONValue(parsingStrictly: Array(bytes[..<end]), maxDepth: 2),
            let topic = TopicName(json.text("topic")),
            let channel = ChannelName(json.text("channel"))
        else { return nil }
        self.init(
            topic: topic, channel: channel,
            reason: Reason(rawValue: json.text("reason")) ?? .attempts,
            attempts: json.integer("attempts"), id: json.text("id"),
            publishedAt: json.integer("published_at"),
            failedAt: json.integer("failed_at"), body: Array(bytes[(end + 1)...]))
    }
}

extension JSONValue {
    /// The integer of a member; 0 if it is missing.
    fileprivate func integer(_ name: String) -> Int { self[name].flatMap { Int(json: $0) } ?? 0 }
}
