/// What can go wrong for a client of nsqd. Every case says which nsqd it is about.
public enum NSQError: Error, Equatable, Sendable {
    /// Not a topic name: 1 to 64 of `.a-zA-Z0-9_-`, perhaps followed by `#ephemeral`.
    case invalidTopic(String)

    /// Not a channel name; the rule is the one for topics.
    case invalidChannel(String)

    /// Not an address like `127.0.0.1:4150`.
    case invalidAddress(String)

    /// nsqd takes no message without a body, and no batch without a message.
    case emptyMessage

    /// There is no connection to this nsqd. What was to be published has not been sent; publishing
    /// again is safe.
    case unreachable(address: String, reason: String)

    /// The connection broke before nsqd answered. What was to be published may have been, or not:
    /// publishing again may make it twice.
    case connectionLost(address: String, reason: String)

    /// nsqd refused, in its own words: `E_BAD_MESSAGE PUB message too big 2000000 > 1048576`.
    case refused(address: String, answer: String)

    /// More publishes are waiting than the options allow. Nothing was sent; try again later.
    case tooManyWaiting(limit: Int)

    /// The producer or consumer has been stopped.
    case stopped
}

extension NSQError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidTopic(let name): "“\(name)” is not a topic name"
        case .invalidChannel(let name): "“\(name)” is not a channel name"
        case .invalidAddress(let text): "“\(text)” is not an address like 127.0.0.1:4150"
        case .emptyMessage: "a message needs a body, and a batch a message"
        case .unreachable(let address, let reason): "cannot reach nsqd at \(address): \(reason)"
        case .connectionLost(let address, let reason):
            "lost the connection to nsqd at \(address) before it answered: \(reason)"
        case .refused(let address, let answer): "nsqd at \(address) refused: \(answer)"
        case .tooManyWaiting(let limit): "\(limit) publishes are waiting already"
        case .stopped: "stopped"
        }
    }
}
