import BrokerCore
import HTTP
import NSQWire
import TallyBasics
import TallyJSON

/// Handles `/channel/max-attempts` and `/failed`, the failed sets of channels. nsqd has no failed
/// sets.
extension BrokerHTTPService {
    /// The maximum number of messages of one request.
    private static let maxMessages = 1_000

    func setMaxAttempts(_ request: HTTPRequest) throws(HTTPFailure) {
        let query = try query(of: request)
        let (topic, channel) = try topicAndChannel(in: query)
        guard let text = query["attempts"], let limit = Int(text),
            (0...AttemptLimits.largest).contains(limit)
        else { throw .invalidValue }
        guard broker.setMaxAttempts(limit, of: topic, channel, at: server.now) else {
            throw .channelNotFound
        }
    }

    private func topicAndChannel(
        in query: HTTPQuery
    ) throws(HTTPFailure) -> (TopicName, ChannelName) {
        let topic = try topic(in: query)
        guard let text = query["channel"] else { throw .missingChannel }
        guard let channel = ChannelName(text), !channel.isEphemeral, !topic.isEphemeral else {
            throw .invalidChannelArgument
        }
        return (topic, channel)
    }

    func perform(
        _ action: BrokerRoute.FailedAction, _ request: HTTPRequest
    ) throws(HTTPFailure) -> [UInt8] {
        let query = try query(of: request)
        if action == .list, query["topic"] == nil { return failedSets }
        let (topic, channel) = try topicAndChannel(in: query)
        let selection = FailedSelection(
            only: try messageID("id", in: query), after: try messageID("after", in: query),
            limit: try limit(in: query))
        switch action {
        case .list:
            let (messages, next) = broker.failedMessages(
                of: channel, topic, selection, at: server.now)
            return JSONWriter.object { json in
                json.member("failed_topic", FailedSet.topic(of: channel, topic).text)
                json.name("messages")
                json.array(messages) { $0.add($1.message, id: $1.id) }
                json.member("next", next?.text)
            }
        case .retry:
            let retried: (count: Int, next: MessageID?)?
            do throws(PublishError) {
                retried = try broker.retryFailed(of: channel, topic, selection, at: server.now)
            } catch {
                throw .memoryIsFull
            }
            guard let retried else { throw .channelUnavailable }
            return Self.json(retried)
        case .discard:
            return Self.json(broker.discardFailed(of: channel, topic, selection, at: server.now))
        }
    }

    private static func json(_ change: (count: Int, next: MessageID?)) -> [UInt8] {
        JSONWriter.object {
            $0.member("messages", change.count)
            $0.member("next", change.next?.text)
        }
    }

    private var failedSets: [UInt8] {
        JSONWriter.object { json in
            json.name("failed_sets")
            json.array(broker.failedSets) { json, set in
                json.object {
                    $0.member("failed_topic", set.topic.text)
                    $0.member("messages", set.count)
                }
            }
        }
    }

    private func messageID(
        _ name: String, in query: HTTPQuery
    ) throws(HTTPFailure) -> MessageID? {
        guard let text = query[name] else { return nil }
        guard let id = MessageID(text: text) else { throw .invalidValue }
        return id
    }

    private func limit(in query: HTTPQuery) throws(HTTPFailure) -> Int {
        guard let text = query["limit"] else { return Self.maxMessages }
        guard let count = Int(text), (1...Self.maxMessages).contains(count) else {
            throw .invalidValue
        }
        return count
    }
}

extension JSONWriter {
    /// The maximum number of bytes of a body in a list.
    private static let maxBodyBytes = 1_024

    fileprivate mutating func add(_ message: FailedMessage, id: MessageID) {
        object {
            $0.member("id", id.text)
            $0.member("reason", message.reason.rawValue)
            $0.member("attempts", message.attempts)
            $0.member("original_id", message.id)
            $0.member("published_at", message.publishedAt)
            $0.member("failed_at", message.failedAt)
            $0.member("body_bytes", message.body.count)
            $0.member(
                "body", String(decoding: message.body.prefix(Self.maxBodyBytes), as: UTF8.self))
        }
    }
}
