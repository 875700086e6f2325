import BrokerCore
import NSQWire

extension EmbeddedBroker {
    /// A change of a message in a channel. The change does not deliver the message, so its number
    /// of attempts stays the same.
    public enum MessageChange: Sendable, Equatable {
        /// Removes the message from the channel, as if a consumer had finished it.
        case delete
        /// Makes the message deliverable at once, behind those that already are.
        case requeue
        /// Defers the message from now on. The broker limits the delay as it limits that of REQ.
        case `defer`(Duration)
        /// Publishes the body to another topic, and then removes the message from the channel. If the
        /// broker is killed in between, the message is in both.
        case move(to: String)

        func core() throws(AdministrationError) -> MessageAction {
            switch self {
            case .delete: return .delete
            case .requeue: return .requeue
            case .defer(let delay): return .defer(delay)
            case .move(let topic):
                guard let name = TopicName(topic) else { throw .invalidName(topic: topic) }
                return .move(name)
            }
        }
    }
}
