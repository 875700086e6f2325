import BrokerCore
import GoFlags
import NSQWire
import TallyBasics
import TallyJSON

/// Lifetimes as `DURATION` for all topics, or `TOPIC=DURATION` for one.
extension MessageLifetimes: OptionValue {
    package static var typeName: String { "duration" }
    package static var noun: String { "a duration, or TOPIC=DURATION" }
    package static var isList: Bool { true }

    package mutating func parse(_ text: String) throws(BadValue) {
        var parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        var duration = Duration.zero
        try duration.parse(String(parts.removeLast()))
        guard duration >= .zero else { throw BadValue("a lifetime must not be negative") }
        duration = min(duration, Limits.longestDuration)
        guard let topic = parts.first else { return defaultLifetime = duration }
        guard let name = TopicName(String(topic)) else {
            throw BadValue("invalid topic name '\(topic)'")
        }
        byTopic[name] = duration
    }

    package mutating func set(native value: ConfigValue) throws(BadValue) -> Bool {
        guard case .list(let list) = value else { return false }
        self = MessageLifetimes()
        for value in list {
            guard case .text(let text) = value else { return false }
            try parse(text)
        }
        return true
    }

    private var texts: [String] {
        let all =
            defaultLifetime == .zero
            ? [] : [GoText.duration(nanoseconds: defaultLifetime.nanoseconds)]
        return all
            + byTopic.sorted { $0.key < $1.key }
            .map { "\($0.key)=\(GoText.duration(nanoseconds: $0.value.nanoseconds))" }
    }

    package var helpText: String? { texts.isEmpty ? nil : texts.joined(separator: ",") }
    package var configResponse: ConfigResponse {
        var writer = JSONWriter()
        writer.array(texts) { $0.add($1) }
        return .json(writer.bytes)
    }
}
