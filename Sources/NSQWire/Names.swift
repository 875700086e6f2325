/// The rule for topic and channel names: `^[.a-zA-Z0-9_-]+(#ephemeral)?$`, and a length of 1 to 64
/// bytes including the suffix.
///
/// - SeeAlso: NSQ, “TCP Protocol Spec”, Notes.
package enum NameSyntax {
    /// The suffix of ephemeral topics and channels.
    package static let ephemeralSuffix = "#ephemeral"

    /// Returns `true` if `name` follows the rule.
    package static func allows(_ name: some Collection<UInt8>) -> Bool {
        guard (1...Limits.nameBytes).contains(name.count) else { return false }
        var stem = name[...]
        if stem.count > ephemeralSuffix.utf8.count,
            stem.suffix(ephemeralSuffix.utf8.count).elementsEqual(ephemeralSuffix.utf8)
        {
            stem = stem.dropLast(ephemeralSuffix.utf8.count)
        }
        return stem.allSatisfy(isNameByte)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// A valid name of a topic or channel.
package protocol NSQName: Hashable, Comparable, Sendable, CustomStringConvertible {
    var text: String { get }
    /// Creates a name from a text that the caller has validated.
    init(unchecked text: String)
}

extension NSQName {
    /// Creates a name. The result is `nil` if `text` does not follow ``NameSyntax``.
    package init?(_ text: String) {
        guard NameSyntax.allows(Array(text.utf8)) else { return nil }
        self.init(unchecked: text)
    }

    /// Creates a name. The result is `nil` if `bytes` do not follow ``NameSyntax``.
    package init?(bytes: Bytes) {
        guard NameSyntax.allows(bytes) else { return nil }
        self.init(unchecked: String(decoding: bytes, as: UTF8.self))
    }

    /// `true` for an ephemeral topic or channel. Ephemeral topics and channels are never stored on
    /// disk. An ephemeral channel is deleted with its last consumer, an ephemeral topic with its
    /// last channel.
    package var isEphemeral: Bool { text.hasSuffix(NameSyntax.ephemeralSuffix) }

    package var description: String { text }

    package static func < (one: Self, other: Self) -> Bool { one.text < other.text }
}

/// The name of a topic, which is a stream of messages.
package struct TopicName: NSQName {
    package let text: String
    package init(unchecked text: String) { self.text = text }
}

/// The name of a channel, which receives a copy of each message of its topic.
package struct ChannelName: NSQName {
    package let text: String
    package init(unchecked text: String) { self.text = text }
}
