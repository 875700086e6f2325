import BrokerCore
import HTTP
import NSQWire

/// Handles `/topic/…` and `/channel/…`. As in nsqd, the two report missing and invalid arguments
/// with different error codes.
extension BrokerHTTPService {
    /// Returns the topic name of a request that creates the topic if it does not exist.
    func topicToCreate(in query: HTTPQuery) throws(HTTPFailure) -> TopicName {
        let name = try topic(in: query)
        guard broker.hasCapacity(for: name) else { throw .tooManyTopics }
        return name
    }

    /// Returns the topic name of a query, and throws if it is missing or invalid.
    func topic(in query: HTTPQuery) throws(HTTPFailure) -> TopicName {
        guard let text = query["topic"] else { throw .missingTopic }
        guard let name = TopicName(text) else { throw .invalidTopic }
        return name
    }

    func perform(
        _ action: BrokerRoute.Action, topicIn query: HTTPQuery
    ) throws(HTTPFailure) {
        switch action {
        case .create: broker.createTopic(try topicToCreate(in: query), at: server.now)
        case .empty:
            let name = try topic(in: query)
            try expectTopic(broker.emptyTopic(name, at: server.now))
        case .delete, .pause, .unpause:
            guard let text = query["topic"] else { throw .missingTopic }
            // An invalid name is reported as an unknown topic.
            guard let name = TopicName(text) else { throw .topicNotFound }
            try expectTopic(
                action == .delete
                    ? broker.deleteTopic(name, at: server.now)
                    : broker.pauseTopic(name, action == .pause, at: server.now))
        }
    }

    func perform(
        _ action: BrokerRoute.Action, channelIn query: HTTPQuery
    ) throws(HTTPFailure) {
        guard let topicText = query["topic"] else { throw .missingTopic }
        guard let topic = TopicName(topicText) else { throw .invalidTopicArgument }
        guard let channelText = query["channel"] else { throw .missingChannel }
        guard let channel = ChannelName(channelText) else { throw .invalidChannelArgument }
        try expectTopic(broker.hasTopic(topic))
        guard action != .create || broker.hasCapacity(for: channel, of: topic) else {
            throw .tooManyChannels
        }
        let now = server.now
        let isFound =
            switch action {
            case .create: broker.createChannel(channel, of: topic, at: now)
            case .delete: broker.deleteChannel(channel, of: topic, at: now)
            case .empty: broker.emptyChannel(channel, of: topic, at: now)
            case .pause: broker.pauseChannel(channel, of: topic, true, at: now)
            case .unpause: broker.pauseChannel(channel, of: topic, false, at: now)
            }
        guard isFound else { throw .channelNotFound }
    }

    private func expectTopic(_ isFound: Bool) throws(HTTPFailure) {
        guard isFound else { throw .topicNotFound }
    }
}
