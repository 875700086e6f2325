import ArgumentParser
import NSQTools
import NSQWire
import TallyBasics
import TallyJSON

/// `tally failed`: shows, retries and discards the failed messages of channels.
struct FailedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failed",
        abstract:
            "Lists, retries or discards messages that were delivered too often or have expired.",
        discussion: """
            With --max-attempts, tally nsqd moves a message that was delivered so many times without FIN \
            to the topic TOPIC.CHANNEL.failed, and with --keep-expired also one that has expired.
            """
                + HelpText.examples(
                    #"""
                    tally nsqd --http-address=127.0.0.1:4151 --max-attempts=5 --memory-only & sleep 1
                    tally failed list
                    kill $!
                    """#),
        subcommands: [
            ListFailedCommand.self, RetryFailedCommand.self, DiscardFailedCommand.self,
        ],
        defaultSubcommand: ListFailedCommand.self)
}

/// `tally failed list`: prints failed messages.
struct ListFailedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Prints the failed sets, or the failed messages of one channel.",
        discussion: "The first 1 KiB of each body is shown."
            + HelpText.examples(
                #"""
                tally nsqd --http-address=127.0.0.1:4151 --max-attempts=5 --memory-only & sleep 1
                tally failed list
                tally failed list plays count --json
                kill $!
                """#))

    @Argument(
        help: "The topic. Default: all failed sets, with their numbers of messages.",
        transform: TopicName.init(flag:))
    var topic: TopicName?

    @Argument(help: "The channel.", transform: ChannelName.init(flag:))
    var channel: ChannelName?

    @Option(name: [.customShort("n"), .long], help: "The maximum number of messages.")
    var limit = 100

    @Option(help: "The ID after which the list begins. Default: the oldest message.")
    var after: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var broker: BrokerAddressOptions

    func validate() throws {
        guard topic == nil || channel != nil else {
            throw ValidationError("a channel is needed after the topic")
        }
        try require("--limit", limit, in: 1...1_000)
        guard after.map({ MessageID(text: $0) != nil }) ?? true else {
            throw ValidationError("--after must be an ID of 16 lower-case hex digits")
        }
    }

    func run() async throws {
        var arguments: [String: String] = [:]
        if let topic, let channel {
            arguments = ["topic": topic.text, "channel": channel.text, "limit": "\(limit)"]
            arguments["after"] = after
        }
        let response = try await broker.ask {
            try await $0.failed(at: broker.nsqdHttpAddress, arguments)
        }
        guard !json else { return print(String(decoding: response.body, as: UTF8.self)) }
        var rows = [
            topic == nil
                ? ["FAILED SET", "MESSAGES"] : ["ID", "REASON", "ATTEMPTS", "BYTES", "BODY"]
        ]
        for set in response.json.elements("failed_sets") ?? [] {
            rows.append([set.text("failed_topic"), "\(set.count("messages"))"])
        }
        for message in response.json.elements("messages") ?? [] {
            rows.append([
                message.text("id"), message.text("reason"), "\(message.count("attempts"))",
                "\(message.count("body_bytes"))", LogText.sanitized(message.text("body")),
            ])
        }
        for line in TextTable.lines(rows) { print(line) }
        if let next = response.json["next"].flatMap({ String(json: $0) }) {
            StandardError.print("further messages: --after=\(next)")
        }
    }
}

/// The failed messages of one channel that a command changes.
struct FailedMessageOptions: ParsableArguments {
    @Argument(help: "The topic.", transform: TopicName.init(flag:))
    var topic: TopicName

    @Argument(help: "The channel.", transform: ChannelName.init(flag:))
    var channel: ChannelName

    @Argument(help: "The IDs of failed messages, as tally failed list prints them.")
    var ids: [String] = []

    @Flag(help: "All failed messages of the channel.")
    var all = false

    @OptionGroup var broker: BrokerAddressOptions

    func validate() throws {
        guard all != !ids.isEmpty else {
            throw ValidationError("pass either the IDs of messages or --all")
        }
        for id in ids where MessageID(text: id) == nil {
            throw ValidationError("an ID must be 16 lower-case hex digits, not '\(id)'")
        }
    }

    /// Changes the messages with the IDs, or as many as the failed set has at the start. Those that fail
    /// again meanwhile stay.
    ///
    /// - Parameter change: `retry` or `discard`.
    /// - Returns: the number of messages.
    func perform(_ change: String) async throws -> Int {
        try await broker.ask { try await perform(change, $0) }
    }

    private func perform(_ change: String, _ client: NSQDQueries) async throws -> Int {
        let nsqd = broker.nsqdHttpAddress
        var arguments = ["topic": topic.text, "channel": channel.text]
        for id in ids {
            arguments["id"] = id
            guard try await client.changeFailed(change, at: nsqd, arguments).count == 1 else {
                throw UsageError("channel '\(topic)/\(channel)' has no failed message '\(id)'")
            }
        }
        guard all else { return ids.count }
        let limit = try await client.failedCount(
            at: nsqd, topic: topic.text, channel: channel.text)
        var total = 0
        repeat {
            let (count, next) = try await client.changeFailed(change, at: nsqd, arguments)
            total += count
            arguments["after"] = next
        } while arguments["after"] != nil && total < limit
        return total
    }
}

/// `tally failed retry`: publishes failed messages to their channel again.
struct RetryFailedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry",
        abstract: "Publishes failed messages to their channel of origin again.",
        discussion: "Other channels of the topic do not receive them."
            + HelpText.examples(
                #"""
                tally nsqd --http-address=127.0.0.1:4151 --max-attempts=5 --memory-only & sleep 1
                curl -X POST 'http://127.0.0.1:4151/topic/create?topic=plays'
                curl -X POST 'http://127.0.0.1:4151/channel/create?topic=plays&channel=count'
                tally failed retry plays count --all
                kill $!
                """#))

    @OptionGroup var selection: FailedMessageOptions

    func run() async throws {
        print("retried \(counted(try await selection.perform("retry"), "message"))")
    }
}

/// `tally failed discard`: deletes failed messages.
struct DiscardFailedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "Deletes failed messages.",
        discussion: "They are lost."
            + HelpText.examples(
                #"""
                tally nsqd --http-address=127.0.0.1:4151 --max-attempts=5 --memory-only & sleep 1
                tally failed discard plays count --all
                kill $!
                """#))

    @OptionGroup var selection: FailedMessageOptions

    func run() async throws {
        print("discarded \(counted(try await selection.perform("discard"), "message"))")
    }
}
