import BrokerCore
import GoFlags
import NSQWire
import TallyBasics
import TallyJSON

/// Limits of attempts as `COUNT` for all channels, or `TOPIC/CHANNEL=COUNT` for one.
extension AttemptLimits: OptionValue {
    package static var typeName: String { "int" }
    package static var noun: String { "a number, or TOPIC/CHANNEL=NUMBER" }
    package static var isList: Bool { true }

    package mutating func parse(_ text: String) throws(BadValue) {
        var parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        var limit = 0
        try limit.parse(String(parts.removeLast()))
        guard (0...Self.largest).contains(limit) else {
            throw BadValue("a limit of attempts must be 0 to \(Self.largest)")
        }
        guard let channel = parts.first else { return defaultLimit = limit }
        let names = channel.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard names.count == 2, let topic = TopicName(names[0]), let channel = ChannelName(names[1])
        else { throw BadValue("'\(channel)' is not TOPIC/CHANNEL") }
        guard !topic.isEphemeral, !channel.isEphemeral else {
            throw BadValue("an ephemeral topic or channel has no failed set")
        }
        byChannel[topic, default: [:]][channel] = limit
    }

    package mutating func set(native value: ConfigValue) throws(BadValue) -> Bool {
        switch value {
        case .integer(let limit): try parse("\(limit)")
        case .list(let list):
            self = AttemptLimits()
            for value in list {
                switch value {
                case .integer(let limit): try parse("\(limit)")
                case .text(let text): try parse(text)
                default: return false
                }
            }
        default: return false
        }
        return true
    }

    private var texts: [String] {
        let single = byChannel.flatMap { topic, limits in
            limits.map { "\(topic)/\($0.key)=\($0.value)" }
        }
        return (defaultLimit == 0 ? [] : ["\(defaultLimit)"]) + single.sorted()
    }

    package var helpText: String? { texts.isEmpty ? nil : texts.joined(separator: ",") }
    package var configResponse: ConfigResponse {
        var writer = JSONWriter()
        writer.array(texts) { $0.add($1) }
        return .json(writer.bytes)
    }
}
