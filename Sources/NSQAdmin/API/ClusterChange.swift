import NSQWire

/// A change of a topic, a channel or a node that a client requests.
enum ClusterChange: Sendable {
    case createTopic(String)
    case createChannel(topic: String, channel: String)
    case act(ClusterActions.Action, topic: String, channel: String?)
    case delete(topic: String, channel: String?)
    case tombstone(topic: String, node: String)
    case publish(message: [UInt8], topic: String, node: String)
    /// A change of messages that an nsqd has already made, with its verb. It concerns the message with the ID or,
    /// without an ID, all messages that a filter selects.
    case messages(String, topic: String, channel: String, id: String?, node: String)

    /// Returns the changes that a request contains. Performing the last change is enough, because
    /// it includes the earlier ones. They are returned so that each is logged and notified
    /// separately.
    static func changes(
        _ route: AdminRoute, body: [UInt8]
    ) throws(AdminFailure) -> [ClusterChange] {
        switch route {
        case .create: return try creation(AdminBody(body))
        case .changeTopic(let topic):
            return [.act(try action(body), topic: topic, channel: nil)]
        case .changeChannel(let topic, let channel):
            return [.act(try action(body), topic: topic, channel: channel)]
        case .deleteTopic(let topic): return [.delete(topic: topic, channel: nil)]
        case .deleteChannel(let topic, let channel):
            return [.delete(topic: topic, channel: channel)]
        case .tombstone(let node): return [.tombstone(topic: try tombstoned(body), node: node)]
        default: preconditionFailure("the route changes something")
        }
    }

    private static func creation(_ body: AdminBody) throws(AdminFailure) -> [ClusterChange] {
        let topic = try body.text("topic")
        guard TopicName(topic) != nil else { throw .invalidTopic }
        let channel = try body.text("channel")
        guard !channel.isEmpty else { return [.createTopic(topic)] }
        guard ChannelName(channel) != nil else { throw .invalidChannel }
        return [.createTopic(topic), .createChannel(topic: topic, channel: channel)]
    }

    private static func action(_ body: [UInt8]) throws(AdminFailure) -> ClusterActions.Action {
        let text = try AdminBody(body).text("action")
        guard let action = ClusterActions.Action(rawValue: text) else { throw .invalidAction }
        return action
    }

    private static func tombstoned(_ body: [UInt8]) throws(AdminFailure) -> String {
        let topic: String
        do throws(AdminFailure) {
            topic = try AdminBody(body).text("topic")
        } catch {
            throw .invalidBody
        }
        guard TopicName(topic) != nil else { throw .invalidTopic }
        return topic
    }

    /// Performs the change.
    ///
    /// - Returns: the errors of the servers at which it has failed.
    func perform(with actions: ClusterActions) async throws(UpstreamError) -> [UpstreamError] {
        switch self {
        case .createTopic(let topic): return try await actions.create(topic, channel: nil)
        case .createChannel(let topic, let channel):
            return try await actions.create(topic, channel: channel)
        case .act(let action, let topic, let channel):
            return try await actions.perform(action, on: topic, channel: channel)
        case .delete(let topic, let channel):
            return try await actions.delete(topic, channel: channel)
        case .tombstone(let topic, let node): return try await actions.tombstone(topic, at: node)
        case .publish(let message, let topic, let node):
            try await actions.publish(message, to: topic, at: node)
            return []
        case .messages: return []
        }
    }

    // MARK: Texts

    /// The action in a notification.
    var notificationName: String {
        switch self {
        case .createTopic: "create_topic"
        case .createChannel: "create_channel"
        case .act(let action, _, let channel): "\(action)_\(channel == nil ? "topic" : "channel")"
        case .delete(_, let channel): "delete_\(channel == nil ? "topic" : "channel")"
        case .tombstone: "tombstone_topic_producer"
        case .publish: "publish_topic"
        case .messages(let change, _, _, _, _):
            "\(change.replacing(" ", with: "_"))_messages"
        }
    }

    /// The action, as the log on the page names it.
    var verb: String {
        switch self {
        case .createTopic, .createChannel: "create"
        case .act(let action, _, _): action.rawValue
        case .delete: "delete"
        case .tombstone: "tombstone"
        case .publish: "publish to"
        case .messages(let change, _, _, _, _): change
        }
    }

    /// The changed object, as the log on the page names it.
    var target: String {
        let place = node.map { " at \($0)" } ?? ""
        if case .messages(_, _, let channel, let id, _) = self {
            return
                "\(id.map { "message \($0)" } ?? "messages") of channel \(channel) of \(topic)\(place)"
        }
        guard let channel else { return "topic \(topic)\(place)" }
        return "channel \(channel) of \(topic)"
    }

    var topic: String {
        switch self {
        case .createTopic(let topic), .createChannel(let topic, _), .act(_, let topic, _),
            .delete(let topic, _), .tombstone(let topic, _), .publish(_, let topic, _),
            .messages(_, let topic, _, _, _):
            topic
        }
    }

    var channel: String? {
        switch self {
        case .createChannel(_, let channel): channel
        case .act(_, _, let channel), .delete(_, let channel): channel
        case .messages(_, _, let channel, _, _): channel
        case .createTopic, .tombstone, .publish: nil
        }
    }

    var node: String? {
        switch self {
        case .tombstone(_, let node), .publish(_, _, let node), .messages(_, _, _, _, let node):
            node
        default: nil
        }
    }
}
