import ArgumentParser
import Foundation
import NSQTools
import NSQWire
import TallyBasics
import TallyJSON

/// `tally peek`: shows messages of a queue without receiving them.
struct PeekCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peek",
        abstract: "Shows the messages of a topic or channel without receiving them.",
        discussion: """
            Shows messages that wait, are in flight or are deferred, the oldest first. Consumers do \
            not notice it, and the number of attempts does not rise. Without a channel, the messages \
            of the topic are shown that no channel has received yet. Only tally's nsqd can do this.
            """
                + HelpText.examples(
                    #"""
                    tally nsqd --http-address=127.0.0.1:4151 --memory-only & sleep 1
                    nsqd=http://127.0.0.1:4151
                    curl -X POST "$nsqd/topic/create?topic=plays"
                    curl -X POST "$nsqd/channel/create?topic=plays&channel=count"
                    tally pub plays 'one play' 'two plays'
                    tally peek plays count
                    tally peek plays count --contains=two --json
                    kill $!
                    """#))

    @Argument(help: "The topic.", transform: TopicName.init(flag:))
    var topic: TopicName

    @Argument(
        help: "The channel. Default: the messages of the topic that no channel has received.",
        transform: ChannelName.init(flag:))
    var channel: ChannelName?

    @OptionGroup var filter: MessageFilterOptions

    @Option(name: [.customShort("n"), .long], help: "The maximum number of messages.")
    var limit = 20

    @Option(help: "Start after the message with this ID.")
    var after: String?

    @Option(help: "Show only the message with this ID.")
    var id: String?

    @Option(help: "The size in bytes at which bodies are cut.")
    var bodyBytes = 1024

    @Flag(help: "Show bodies as hex digits.")
    var hex = false

    @Flag(help: "Print one JSON object per message.")
    var json = false

    @OptionGroup var broker: BrokerAddressOptions

    func validate() throws {
        try require("--limit", limit, in: 1...1_000_000)
        try require("--body-bytes", bodyBytes, in: 0...1_048_576)
        for (flag, text) in [("--after", after), ("--id", id)] {
            guard let text, MessageID(text: text) == nil else { continue }
            throw ValidationError("\(flag) must be 16 lower-case hex digits, not '\(text)'")
        }
        guard id == nil || (after == nil && filter.isEmpty) else {
            throw ValidationError("--id cannot be combined with --after or a filter")
        }
    }

    func run() async throws {
        try await broker.ask { client in
            var left = limit
            var next = after
            repeat {
                let page = try await client.messages(
                    at: broker.nsqdHttpAddress, topic: topic.text, channel: channel?.text,
                    arguments(limit: min(left, Self.pageLimit), after: next))
                show(page)
                left -= page.messages.count
                next = page.next
                // An empty page is not the end: the nsqd may not have reached a message that
                // matches yet.
            } while left > 0 && next != nil && id == nil
            if let next, !json {
                StandardError.print("more messages follow: pass --after=\(next)")
            }
        }
    }

    /// The maximum number of messages in one response.
    private static let pageLimit = 200

    private func arguments(limit: Int, after: String?) -> [String: String] {
        var arguments = filter.arguments
        arguments["body_bytes"] = "\(bodyBytes)"
        if hex { arguments["format"] = "hex" }
        if let id {
            arguments["id"] = id
        } else {
            arguments["limit"] = "\(limit)"
            arguments["after"] = after
        }
        return arguments
    }

    // MARK: Output

    private func show(_ page: QueuedMessages) {
        guard !json else {
            guard case .array(let messages) = page.json["messages"] else { return }
            for message in messages {
                print(String(decoding: JSONWriter.value(message), as: UTF8.self))
            }
            return
        }
        for message in page.messages { print(Self.lines(message)) }
    }

    /// The text of a message for people: a line with its state, and a line with its body.
    static func lines(_ message: QueuedMessages.Message) -> String {
        let state =
            switch message.state {
            case "in_flight":
                "in flight to \(message.client ?? "a client"), \(timeLeft(message)) left"
            case "deferred": "deferred, due in \(timeLeft(message))"
            default: message.state
            }
        let attempts = counted(message.attempts, "attempt")
        let size = counted(message.bodyBytes, "byte")
        let cut = message.isCut ? ", cut" : ""
        return """
            \(message.id)  \(time(message.timestamp))  \(attempts)  \(LogText.sanitized(state))  \
            \(size)\(cut)
                \(LogText.sanitized(message.body))
            """
    }

    private static func timeLeft(_ message: QueuedMessages.Message) -> String {
        GoText.duration(nanoseconds: Int64(message.timeLeftMilliseconds ?? 0) * 1_000_000)
    }

    /// Returns the local time, with seconds.
    private static func time(_ nanoseconds: Int) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "yyyy-MM-dd HH:mm:ss"
        return formatter.string(
            from: Date(timeIntervalSince1970: Double(nanoseconds) / 1_000_000_000))
    }
}
