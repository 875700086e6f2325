/// The rule for names: `^[.a-zA-Z0-9_-]+(#ephemeral)?$`, 1 to 64 bytes with the suffix.
///
/// - SeeAlso: NSQ, “TCP Protocol Spec”, Notes.
package enum NameRule {
    package static let ephemeralSuffix = "#ephemeral"

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

/// What a topic's name and a channel's name have in common: valid once they exist.
package protocol NSQName: Hashable, Comparable, Sendable, CustomStringConvertible {
    var text: String { get }
    init(unchecked text: String)
}

extension NSQName {
    /// - Returns: `nil` if the naming rule forbids the name.
    package init?(_ text: String) {
        guard NameRule.allows(Array(text.utf8)) else { return nil }
        self.init(unchecked: text)
    }

    package init?(bytes: Bytes) {
        guard NameRule.allows(bytes) else { return nil }
        self.init(unchecked: String(decoding: bytes, as: UTF8.self))
    }

    /// An ephemeral topic or channel never touches the disk and goes with its last user.
    package var isEphemeral: Bool { text.hasSuffix(NameRule.ephemeralSuffix) }

    package var description: String { text }

    package static func < (one: Self, other: Self) -> Bool { one.text < other.text }
}

/// The name of a topic: a stream of messages.
package struct TopicName: NSQName {
    package let text: String
    package init(unchecked text: String) { self.text = text }
}

/// The name of a channel: one of the copies of a topic's stream.
package struct ChannelName: NSQName {
    package let text: String
    package init(unchecked text: String) { self.text = text }
}
