/// A command from a client to a broker, without the body that may follow the command line.
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

    /// The bytes that a client sends before its first command.
    package static let magic: StaticString = "  V2"
    /// The length of the magic in bytes.
    package static let magicBytes = 4
}
