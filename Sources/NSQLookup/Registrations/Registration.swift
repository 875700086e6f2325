import NSQWire

/// One entry of the registration table, as nsqlookupd logs it.
package enum Registration: Hashable, Sendable {
    /// A connected nsqd.
    case client
    case topic(TopicName)
    case channel(TopicName, ChannelName)

    /// The three parts of the entry in the notation of nsqlookupd's log and of `/debug`.
    var parts: (category: String, key: String, subkey: String) {
        switch self {
        case .client: ("client", "", "")
        case .topic(let topic): ("topic", topic.text, "")
        case .channel(let topic, let channel): ("channel", topic.text, channel.text)
        }
    }
}

extension Registration: CustomStringConvertible {
    package var description: String {
        let (category, key, subkey) = parts
        return "category:\(category) key:\(key) subkey:\(subkey)"
    }
}

/// The topics that a request of the HTTP API selects.
package enum TopicSelection: Equatable, Sendable {
    case one(TopicName)
    /// As in nsqlookupd, the text `*` selects every topic.
    case all
    /// No topic, because the text is not a valid name.
    case none

    /// Interprets the value of the argument `topic`.
    package init(_ text: String) {
        if text == "*" {
            self = .all
        } else {
            self = TopicName(text).map { .one($0) } ?? .none
        }
    }
}

/// The reason why a registration is refused: the table is full.
package struct RegistrationLimitReached: Error, Equatable {}
