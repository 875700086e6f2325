import BrokerCore
import HTTP
import NSQWire
import TallyBasics

/// The checked arguments of a request that reads or changes messages.
struct MessageQuery {
    private let query: HTTPQuery
    private let hasChannel: Bool

    /// - Parameter hasChannel: `true` for requests with a topic and a channel, `false` for requests with
    ///   a topic only.
    init(_ query: HTTPQuery, hasChannel: Bool) {
        self.query = query
        self.hasChannel = hasChannel
    }

    // MARK: Queues and messages

    func topic() throws(HTTPFailure) -> TopicName {
        guard let text = query["topic"] else { throw .missingTopic }
        guard let name = TopicName(text) else {
            throw hasChannel ? .invalidTopicArgument : .invalidTopic
        }
        return name
    }

    func channel() throws(HTTPFailure) -> ChannelName {
        guard let text = query["channel"] else { throw .missingChannel }
        guard let name = ChannelName(text) else { throw .invalidChannelArgument }
        return name
    }

    /// The channel; `nil` for requests with a topic only.
    func queueChannel() throws(HTTPFailure) -> ChannelName? { hasChannel ? try channel() : nil }

    /// The argument `id`.
    func id() throws(HTTPFailure) -> MessageID {
        guard let id = try messageID("id") else { throw .missingArgument("id") }
        return id
    }

    /// The optional argument with this name: 16 lower-case hex digits.
    func messageID(_ name: String) throws(HTTPFailure) -> MessageID? {
        guard let text = query[name] else { return nil }
        guard let id = MessageID(text: text) else { throw .invalidArgument(name) }
        return id
    }

    /// - Throws: `INVALID_ARG_…` if the request has an argument that its route does not use, so that it
    ///   would change more than the client expects.
    func refuse(_ name: String) throws(HTTPFailure) {
        if query[name] != nil { throw .invalidArgument(name) }
    }

    // MARK: Pages

    /// The maximum number of messages of a page: the argument `limit`.
    func limit() throws(HTTPFailure) -> Int {
        try number("limit", in: 1...Broker.maxPageMessages) ?? 100
    }

    /// The size at which bodies are cut: the argument `body_bytes`.
    func bodyBytes() throws(HTTPFailure) -> Int {
        try number("body_bytes", in: 0...Broker.maxPageBytes) ?? 1024
    }

    /// The form of bodies: the argument `format`.
    func format() throws(HTTPFailure) -> MessageBodyFormat {
        guard let text = query["format"] else { return .automatic }
        guard let format = MessageBodyFormat(rawValue: text) else {
            throw .invalidArgument("format")
        }
        return format
    }

    // MARK: Filters

    /// The filter: the arguments `state`, `contains`, `min_attempts` and `min_age_ms`.
    func filter(at now: Timestamp) throws(HTTPFailure) -> MessageFilter {
        var filter = MessageFilter()
        if let text = query["state"] {
            filter.states = []
            for word in text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let state = MessageFilter.State(rawValue: String(word)) else {
                    throw .invalidArgument("state")
                }
                filter.states.insert(state)
            }
        }
        if let text = query["contains"] {
            filter.text = Array(text.utf8)
            guard (1...MessageFilter.maxTextBytes).contains(filter.text.count) else {
                throw .invalidArgument("contains")
            }
        }
        filter.minAttempts = try number("min_attempts", in: 0...Int(UInt16.max)) ?? 0
        if let age = try number("min_age_ms", in: 0...Self.maxAgeMilliseconds) {
            filter.publishedBefore = now.wall - Int64(age) * 1_000_000
        }
        return filter
    }

    /// A hundred years.
    private static let maxAgeMilliseconds = 100 * 365 * 86_400_000

    // MARK: Changes

    /// The number of deliveries that the client has seen: the argument `attempts`.
    func attempts() throws(HTTPFailure) -> UInt16 {
        guard let attempts = try number("attempts", in: 0...Int(UInt16.max)) else {
            throw .missingArgument("attempts")
        }
        return UInt16(attempts)
    }

    /// The number of a bulk operation: the argument `operation`.
    func operation() throws(HTTPFailure) -> Int {
        guard let number = try number("operation", in: 1...Int.max) else {
            throw .missingArgument("operation")
        }
        return number
    }

    /// `true` if the messages are only counted: the argument `preview`.
    func isPreview() throws(HTTPFailure) -> Bool {
        switch query["preview"] {
        case nil, "false": return false
        case "true": return true
        default: throw .invalidArgument("preview")
        }
    }

    /// The change with its arguments: `defer` in milliseconds, or `to`, the topic of a move.
    func action(
        _ change: BrokerRoute.MessageChange, maxDelay: Duration
    ) throws(HTTPFailure) -> MessageAction {
        switch change {
        case .delete: return .delete
        case .requeue: return .requeue
        case .defer:
            guard query["defer"] != nil else { throw .missingArgument("defer") }
            guard let delay = try? number("defer", in: 0...maxDelay.milliseconds) else {
                throw .invalidDefer
            }
            return .defer(.milliseconds(delay))
        case .move:
            guard let text = query["to"] else { throw .missingArgument("to") }
            guard let name = TopicName(text) else { throw .invalidArgument("to") }
            return .move(name)
        }
    }

    private func number(
        _ name: String, in range: ClosedRange<Int>
    ) throws(HTTPFailure) -> Int? {
        guard let text = query[name] else { return nil }
        guard let number = Int(text), range.contains(number) else { throw .invalidArgument(name) }
        return number
    }
}
