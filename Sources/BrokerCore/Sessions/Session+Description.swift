import NSQWire

/// What a test selects a client by.
extension Session {
    /// The client's name: that of IDENTIFY, or its host.
    package var clientID: String { settings.clientID }

    /// The topic of the subscription; `nil` without a subscription.
    package var subscribedTopic: TopicName? { subscription.channel?.topic.name }

    /// The channel of the subscription; `nil` without a subscription.
    package var subscribedChannel: ChannelName? { subscription.channel?.name }

    /// `true` if the client has published.
    package var hasPublished: Bool { !publishCounts.byTopic.isEmpty }
}
