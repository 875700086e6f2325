import HTTP
import TallyJSON

/// Requests that read and change messages of a queue. Only the broker of this package supports
/// these requests.
extension NSQDQueries {
    /// Returns a page of messages.
    ///
    /// - Parameters:
    ///   - channel: the channel; `nil` for the messages of the topic that have no channel.
    ///   - arguments: the arguments of the request other than the topic and the channel.
    package func messages(
        at nsqd: String, topic: String, channel: String?, _ arguments: [String: String]
    ) async throws(Failure) -> QueuedMessages {
        var arguments = arguments
        arguments["topic"] = topic
        arguments["channel"] = channel
        let path = channel == nil ? "/topic/messages" : "/channel/messages"
        let json = try await askBroker(nsqd, path, arguments)
        guard let page = QueuedMessages(json: json) else {
            throw Failure(description: "\(nsqd): the response has no messages")
        }
        return page
    }

    /// Changes one message.
    ///
    /// - Parameters:
    ///   - change: `delete`, `requeue`, `defer` or `move`.
    ///   - arguments: the arguments of the request.
    package func changeMessage(
        _ change: String, at nsqd: String, _ arguments: [String: String]
    ) async throws(Failure) {
        _ = try await askBroker(nsqd, "/message/\(change)", arguments, isChange: true)
    }

    /// Starts a change of all messages that a filter selects.
    ///
    /// - Parameters:
    ///   - change: `delete`, `requeue`, `defer` or `move`.
    ///   - arguments: the arguments of the request.
    package func changeMessages(
        _ change: String, at nsqd: String, _ arguments: [String: String]
    ) async throws(Failure) -> MessageOperation {
        try await operation(nsqd, "/channel/messages/\(change)", arguments)
    }

    /// Returns the running bulk operations, and those that ended most recently.
    package func messageOperations(at nsqd: String) async throws(Failure) -> [MessageOperation] {
        let json = try await askBroker(nsqd, "/channel/messages/operations", [:])
        guard case .array(let operations) = json["operations"] else { return [] }
        return operations.compactMap { MessageOperation(json: $0) }
    }

    /// Cancels a bulk operation.
    package func cancelMessageOperation(
        _ number: Int, at nsqd: String
    ) async throws(Failure) -> MessageOperation {
        try await operation(nsqd, "/channel/messages/cancel", ["operation": "\(number)"])
    }

    private func operation(
        _ nsqd: String, _ path: String, _ arguments: [String: String]
    ) async throws(Failure) -> MessageOperation {
        let json = try await askBroker(nsqd, path, arguments, isChange: true)
        guard let operation = MessageOperation(json: json) else {
            throw Failure(description: "\(nsqd): the response has no operation")
        }
        return operation
    }
}
