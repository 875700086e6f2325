import BrokerCore
import NSQBroker
import NSQWire

/// The clients whose connections ``TestBroker/cut(_:)`` closes.
public struct ClientSelection: Sendable {
    let contains: @Sendable (Session) -> Bool

    /// All clients.
    public static let all = Self { _ in true }

    /// The clients that have published.
    public static let producers = Self { $0.hasPublished }

    /// The clients that are subscribed to a topic.
    ///
    /// - Parameters:
    ///   - topic: the topic.
    ///   - channel: the channel of the clients; by default, every channel.
    public static func consumers(of topic: String, channel: String? = nil) -> Self {
        Self {
            $0.subscribedTopic?.text == topic
                && (channel == nil || $0.subscribedChannel?.text == channel)
        }
    }

    /// The clients with a name, which is `ClientOptions.clientID` in this library and `client_id` in
    /// nsqd's IDENTIFY.
    public static func clientID(_ clientID: String) -> Self { Self { $0.clientID == clientID } }

    /// The client with an address, as `host:port`, from the broker's point of view.
    public static func address(_ address: String) -> Self { Self { $0.address == address } }
}
