/// What a client says. The bodies of those that have one follow the command line and are no part
/// of the value.
///
/// - SeeAlso: NSQ, “TCP Protocol Spec”, Commands.
package enum Command: Equatable, Sendable {
    case identify
    case authenticate
    case subscribe(TopicName, ChannelName)
    case ready(count: Int)
    case finish(MessageID)
    case requeue(MessageID, afterMilliseconds: Int)
    case touch(MessageID)
    case close
    case nop
    case publish(TopicName)
    case multiPublish(TopicName)
    case deferredPublish(TopicName, afterMilliseconds: Int)

    /// What a client says first, before any command.
    package static let magic: StaticString = "  V2"
    package static let magicBytes = 4
}
