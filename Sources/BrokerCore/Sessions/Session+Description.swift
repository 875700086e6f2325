import NSQWire

/// The properties by which a test selects a client.
extension Session {
    /// The client's name from IDENTIFY; before IDENTIFY, the client's host.
    package var clientID: String { settings.clientID }

    /// The topic of the subscription; `nil` without a subscription.
    package var subscribedTopic: TopicName? { subscription.channel?.topic.name }

    /// The channel of the subscription; `nil` without a subscription.
    package var subscribedChannel: ChannelName? { subscription.channel?.name }

    /// `true` if the client has published.
    package var hasPublished: Bool { !publishCounts.byTopic.isEmpty }
}
