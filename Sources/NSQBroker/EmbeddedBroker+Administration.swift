import BrokerCore
import NSQWire
import UVLoop

extension EmbeddedBroker {
    // MARK: Topics

    /// Creates a topic. Does nothing if the topic exists.
    ///
    /// - Throws: ``AdministrationError`` with the code ``AdministrationError/Code/invalidName``,
    ///   ``AdministrationError/Code/tooMany`` or ``AdministrationError/Code/stopped``.
    public func createTopic(_ topic: String) async throws(AdministrationError) {
        try await perform(on: topic) { server, topic throws(AdministrationError) in
            guard server.broker.hasCapacity(for: topic) else { throw .tooMany }
            server.broker.createTopic(topic, at: server.now)
        }
    }

    /// Deletes a topic with its channels and messages, and disconnects its consumers.
    ///
    /// - Throws: ``AdministrationError``.
    public func deleteTopic(_ topic: String) async throws(AdministrationError) {
        try await performOnExisting(topic) { $0.broker.deleteTopic($1, at: $0.now) }
    }

    /// Discards the messages of a topic that are not dispatched to a channel yet.
    ///
    /// - Throws: ``AdministrationError``.
    public func emptyTopic(_ topic: String) async throws(AdministrationError) {
        try await performOnExisting(topic) { $0.broker.emptyTopic($1, at: $0.now) }
    }

    /// Pauses a topic: its messages are not dispatched to channels until ``resumeTopic(_:)``.
    ///
    /// - Throws: ``AdministrationError``.
    public func pauseTopic(_ topic: String) async throws(AdministrationError) {
        try await performOnExisting(topic) { $0.broker.pauseTopic($1, true, at: $0.now) }
    }

    /// Continues after ``pauseTopic(_:)``.
    ///
    /// - Throws: ``AdministrationError``.
    public func resumeTopic(_ topic: String) async throws(AdministrationError) {
        try await performOnExisting(topic) { $0.broker.pauseTopic($1, false, at: $0.now) }
    }

    // MARK: Channels

    /// Creates a channel, and its topic if the topic does not exist. Does nothing if the channel
    /// exists.
    ///
    /// - Throws: ``AdministrationError`` with the code ``AdministrationError/Code/invalidName``,
    ///   ``AdministrationError/Code/tooMany`` or ``AdministrationError/Code/stopped``.
    public func createChannel(
        _ channel: String, of topic: String
    ) async throws(AdministrationError) {
        try await createTopic(topic)
        guard let name = ChannelName(channel) else { throw .invalidName(channel: channel) }
        try await perform(on: topic) { server, topic throws(AdministrationError) in
            guard server.broker.hasCapacity(for: name, of: topic) else { throw .tooMany }
            _ = server.broker.createChannel(name, of: topic, at: server.now)
        }
    }

    /// Deletes a channel with its messages, and disconnects its consumers.
    ///
    /// - Throws: ``AdministrationError``.
    public func deleteChannel(
        _ channel: String, of topic: String
    ) async throws(AdministrationError) {
        try await perform(on: channel, of: topic) {
            $0.broker.deleteChannel($2, of: $1, at: $0.now)
        }
    }

    /// Discards all messages of a channel, including messages in flight and deferred messages.
    ///
    /// - Throws: ``AdministrationError``.
    public func emptyChannel(
        _ channel: String, of topic: String
    ) async throws(AdministrationError) {
        try await perform(on: channel, of: topic) {
            $0.broker.emptyChannel($2, of: $1, at: $0.now)
        }
    }

    /// Pauses a channel: its messages are not delivered until ``resumeChannel(_:of:)``.
    ///
    /// - Throws: ``AdministrationError``.
    public func pauseChannel(
        _ channel: String, of topic: String
    ) async throws(AdministrationError) {
        try await perform(on: channel, of: topic) {
            $0.broker.pauseChannel($2, of: $1, true, at: $0.now)
        }
    }

    /// Continues after ``pauseChannel(_:of:)``.
    ///
    /// - Throws: ``AdministrationError``.
    public func resumeChannel(
        _ channel: String, of topic: String
    ) async throws(AdministrationError) {
        try await perform(on: channel, of: topic) {
            $0.broker.pauseChannel($2, of: $1, false, at: $0.now)
        }
    }

    // MARK: On the loop

    private func performOnExisting(
        _ topic: String, _ change: @escaping @Sendable (BrokerServer, TopicName) -> Bool
    ) async throws(AdministrationError) {
        try await perform(on: topic) { server, name throws(AdministrationError) in
            guard change(server, name) else { throw .topicNotFound(topic) }
        }
    }

    private func perform(
        on channel: String, of topic: String,
        _ change: @escaping @Sendable (BrokerServer, TopicName, ChannelName) -> Bool
    ) async throws(AdministrationError) {
        guard let name = ChannelName(channel) else { throw .invalidName(channel: channel) }
        try await perform(on: topic) { server, topicName throws(AdministrationError) in
            guard server.broker.hasTopic(topicName) else { throw .topicNotFound(topic) }
            guard change(server, topicName, name) else {
                throw .channelNotFound(topic: topic, channel: channel)
            }
        }
    }

    private func perform(
        on topic: String,
        _ change:
            @escaping @Sendable (BrokerServer, TopicName) throws(AdministrationError) -> Void
    ) async throws(AdministrationError) {
        guard let name = TopicName(topic) else { throw .invalidName(topic: topic) }
        let error: AdministrationError? =
            await host.perform { server in
                do throws(AdministrationError) {
                    try change(server, name)
                    return AdministrationError?.none
                } catch {
                    return error
                }
            } ?? .stopped
        if let error { throw error }
    }
}
