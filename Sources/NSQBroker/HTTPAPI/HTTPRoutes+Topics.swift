import BrokerCore
import HTTP
import NSQWire

/// `/topic/…` and `/channel/…`. What is missing and what is invalid is said in nsqd's words, which
/// are not the same everywhere.
extension HTTPRoutes {
    /// The topic to publish to, or to create.
    func topicToBe(in query: HTTPQuery) throws(HTTPFailure) -> TopicName {
        let name = try topic(in: query)
        guard broker.hasRoom(for: name) else { throw .tooManyTopics }
        return name
    }

    func topic(in query: HTTPQuery) throws(HTTPFailure) -> TopicName {
        guard let text = query["topic"] else { throw .missingTopic }
        guard let name = TopicName(text) else { throw .invalidTopic }
        return name
    }

    func carryOut(
        _ action: HTTPRoute.Action, topicIn query: HTTPQuery
    ) throws(HTTPFailure) {
        switch action {
        case .create: broker.createTopic(try topicToBe(in: query), at: server.now)
        case .empty:
            let name = try topic(in: query)
            try expectTopic(broker.emptyTopic(name, at: server.now))
        case .delete, .pause, .unpause:
            guard let text = query["topic"] else { throw .missingTopic }
            // No topic has an invalid name.
            guard let name = TopicName(text) else { throw .topicNotFound }
            try expectTopic(
                action == .delete
                    ? broker.deleteTopic(name, at: server.now)
                    : broker.pauseTopic(name, action == .pause, at: server.now))
        }
    }

    func carryOut(
        _ action: HTTPRoute.Action, channelIn query: HTTPQuery
    ) throws(HTTPFailure) {
        guard let topicText = query["topic"] else { throw .missingTopic }
        guard let topic = TopicName(topicText) else { throw .invalidTopicArgument }
        guard let channelText = query["channel"] else { throw .missingChannel }
        guard let channel = ChannelName(channelText) else { throw .invalidChannelArgument }
        try expectTopic(broker.hasTopic(topic))
        guard action != .create || broker.hasRoom(for: channel, of: topic) else {
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
