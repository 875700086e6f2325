import NSQWire

/// The numbers of deliveries after which a message is moved to the failed set of its channel.
package struct AttemptLimits: Sendable, Equatable {
    /// The default limit, for channels that are not in ``byChannel``; 0 for no limit.
    package var defaultLimit = 0
    /// The limits of single channels; 0 for no limit.
    package var byChannel: [TopicName: [ChannelName: Int]] = [:]

    /// The largest limit. The wire form of a message has 16 bits for the number of attempts.
    package static let largest = Int(UInt16.max)

    /// Creates limits with which no message fails.
    package init() {}

    /// Returns the limit of a channel; 0 for no limit.
    ///
    /// Ephemeral channels and the channels of ephemeral topics have no limit. The default limit
    /// does not apply to the channels of failed sets, so that failed messages are not moved from
    /// one failed set to the next.
    package subscript(topic: TopicName, channel: ChannelName) -> Int {
        guard !topic.isEphemeral, !channel.isEphemeral else { return 0 }
        return byChannel[topic]?[channel] ?? (topic.isFailedSet ? 0 : defaultLimit)
    }
}
