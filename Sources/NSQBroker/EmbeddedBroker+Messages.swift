import BrokerCore
import NSQWire
import TallyBasics
import UVLoop

extension EmbeddedBroker {
    // MARK: Reading

    /// Returns one page of a queue's unfinished messages, in the order of their IDs, without
    /// delivering them. Reading does not affect consumers, and messages on disk stay on disk.
    ///
    /// A page ends after a bounded amount of work. It can therefore have fewer messages than
    /// `limit`, or none, even if further pages have messages.
    ///
    /// - Parameters:
    ///   - topic: the topic.
    ///   - channel: the channel; `nil` for the messages that the topic has not dispatched to a channel.
    ///   - filter: the conditions that the messages fulfil.
    ///   - next: ``MessagePage/next`` of the page before; `nil` for the first page.
    ///   - limit: the maximum number of messages, from 1 to 1000.
    ///   - bodyBytes: the size at which bodies are cut, from 0 to 1 MiB.
    /// - Throws: ``AdministrationError``.
    public func messages(
        in topic: String, channel: String?, where filter: MessageFilter = MessageFilter(),
        after next: String? = nil, limit: Int = 100, bodyBytes: Int = 1024
    ) async throws(AdministrationError) -> MessagePage {
        guard (1...Broker.maxPageMessages).contains(limit) else { throw .invalidValue }
        guard (0...Broker.maxPageBytes).contains(bodyBytes) else { throw .invalidValue }
        try filter.check()
        let (topicName, channelName) = try Self.names(topic, channel)
        let after: MessageID? = if let next { try Self.messageID(next) } else { nil }
        let result: Result<BrokerCore.MessagePage, AdministrationError> = await submit {
            server, done in
            let reader = MessagePageReader(
                topic: topicName, channel: channelName, filter: filter.core(at: server.now),
                limit: limit, bodyBytes: bodyBytes)
            var page = BrokerCore.MessagePage(after: after)
            do throws(InspectionError) {
                try reader.read(&page, from: server.broker, on: server.loop) {
                    done($0.mapError { AdministrationError($0, topic, channel) })
                }
            } catch {
                done(.failure(AdministrationError(error, topic, channel)))
            }
        }
        let page = try result.get()
        return MessagePage(
            messages: page.messages.map(QueuedMessage.init), next: page.last?.text)
    }

    // MARK: Changes

    /// Changes one message of a channel, and returns when the change is as durable as an
    /// acknowledged publish.
    ///
    /// - Parameters:
    ///   - id: the ID of the message.
    ///   - attempts: ``QueuedMessage/attempts``. If the channel has delivered the message since
    ///     that value was read, the change is refused.
    ///   - topic: the topic.
    ///   - channel: the channel.
    ///   - change: what happens to the message.
    /// - Throws: ``AdministrationError``.
    public func change(
        _ id: String, attempts: UInt16, in topic: String, channel: String, _ change: MessageChange
    ) async throws(AdministrationError) {
        let action = try change.core()
        let number = try Self.messageID(id)
        let (topicName, channelName) = try Self.names(topic, channel)
        let result: Result<Void, AdministrationError> = await submit { server, done in
            do throws(InspectionError) {
                try server.broker.perform(
                    action, on: number, attempts: attempts, of: topicName, channelName!,
                    at: server.now
                ) { failure in
                    done(failure == nil ? .success(()) : .failure(.notStored))
                }
            } catch {
                done(.failure(AdministrationError(error, topic, channel)))
            }
        }
        try result.get()
    }

    /// Starts to change all messages of a channel that a filter selects. The operation runs in the
    /// background in small portions, and ends if the broker stops.
    ///
    /// - Parameters:
    ///   - topic: the topic.
    ///   - channel: the channel.
    ///   - filter: the conditions that the messages fulfil.
    ///   - change: the change; `nil` only counts the messages.
    /// - Returns: the operation after its first portion.
    /// - Throws: ``AdministrationError``.
    public func startBulkOperation(
        in topic: String, channel: String, where filter: MessageFilter, _ change: MessageChange?
    ) async throws(AdministrationError) -> BulkOperation {
        let action = BrokerCore.BulkOperation.Action(try change?.core())
        try filter.check()
        let (topicName, channelName) = try Self.names(topic, channel)
        return try await inspect(topic, channel) { server throws(InspectionError) in
            BulkOperation(
                try server.broker.startBulkOperation(
                    action, filter.core(at: server.now), of: topicName, channelName!,
                    at: server.now))
        }
    }

    /// Returns the running bulk operations, and the latest ended ones.
    public func bulkOperations() async -> [BulkOperation] {
        await host.perform { $0.broker.allBulkOperations.map(BulkOperation.init) } ?? []
    }

    /// Cancels a bulk operation. Does nothing if the operation has ended.
    ///
    /// - Throws: ``AdministrationError``.
    public func cancelBulkOperation(_ number: Int) async throws(AdministrationError) {
        try await inspect { server throws(InspectionError) in
            _ = try server.broker.cancelBulkOperation(number, at: server.now)
        }
    }

    // MARK: On the loop

    private func inspect<Value: Sendable>(
        _ topic: String? = nil, _ channel: String? = nil,
        _ body: @escaping @Sendable (BrokerServer) throws(InspectionError) -> Value
    ) async throws(AdministrationError) -> Value {
        let result: Result<Value, AdministrationError>? = await host.perform { server in
            do throws(InspectionError) {
                return .success(try body(server))
            } catch {
                return .failure(AdministrationError(error, topic, channel))
            }
        }
        return try (result ?? .failure(.stopped)).get()
    }

    /// Calls `body` on the loop, and returns the result that it passes to `done`.
    private func submit<Value: Sendable>(
        _ body:
            @escaping @Sendable (
                BrokerServer, _ done: @escaping (Result<Value, AdministrationError>) -> Void
            ) -> Void
    ) async -> Result<Value, AdministrationError> {
        await withCheckedContinuation { continuation in
            let isOpen = host.submit { server in
                let completion = Completion(continuation)
                if let server { body(server) { completion.resume($0) } }
            }
            if !isOpen { continuation.resume(returning: .failure(.stopped)) }
        }
    }

    /// Resumes a continuation in any case, even if the broker stops before the result is known.
    private final class Completion<Value: Sendable> {
        private var continuation: CheckedContinuation<Result<Value, AdministrationError>, Never>?

        init(_ continuation: CheckedContinuation<Result<Value, AdministrationError>, Never>) {
            self.continuation = continuation
        }

        deinit { resume(.failure(.stopped)) }

        func resume(_ result: Result<Value, AdministrationError>) {
            continuation?.resume(returning: result)
            continuation = nil
        }
    }

    private static func names(
        _ topic: String, _ channel: String?
    ) throws(AdministrationError) -> (TopicName, ChannelName?) {
        guard let topicName = TopicName(topic) else { throw .invalidName(topic: topic) }
        guard let channel else { return (topicName, nil) }
        guard let channelName = ChannelName(channel) else { throw .invalidName(channel: channel) }
        return (topicName, channelName)
    }

    private static func messageID(_ text: String) throws(AdministrationError) -> MessageID {
        guard let id = MessageID(text: text) else { throw .invalidValue }
        return id
    }
}

extension EmbeddedBroker.MessageFilter {
    fileprivate func check() throws(EmbeddedBroker.AdministrationError) {
        guard text.count <= BrokerCore.MessageFilter.maxTextBytes else { throw .invalidValue }
        guard (0...Int(UInt16.max)).contains(minAttempts) else { throw .invalidValue }
    }
}

extension BrokerCore.BulkOperation.Action {
    fileprivate init(_ action: MessageAction?) { self = action.map { .change($0) } ?? .count }
}
