import ArgumentParser
import Foundation
import NSQBroker
import NSQClient
import NSQTools
import TallyJSON

/// `tally tail`: prints the messages of topics for people, or as JSON.
struct TailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail",
        abstract: "Prints the messages of topics.",
        discussion: """
            The messages come from a temporary channel, so that the consumers of other channels are \
            not affected. On a terminal, the time of each message is shown before it.
            """
                + HelpText.examples(
                    #"""
                    tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1
                    tally pub plays 'first play' 'second play'
                    tally tail plays -n 2
                    tally pub plays again
                    tally tail plays -n 1 --json | jq .body
                    kill $!
                    """#))

    @Argument(help: "The topics.")
    var topics: [String]

    @Option(help: "The channel. Default: a temporary one.")
    var channel: String?

    @Option(name: .customShort("n"), help: "The number of messages to print. Default: no limit.")
    var limit: Int?

    @Flag(help: "Print one JSON object per message.")
    var json = false

    @OptionGroup var nsqds: NSQDOptions

    func validate() throws {
        try require("-n", limit ?? 1, in: 1...1_000_000_000)
    }

    func run() async throws {
        var options = Consumer.Options()
        options.maxInFlight = min(200, limit ?? 200)
        options.client = try nsqds.connection.clientOptions(ofCommand: "tail")
        let channel = channel ?? MessageTail.temporaryChannel()
        let logger = LineLog.logger("tail", .warn)
        var consumers: [(topic: String, consumer: Consumer)] = []
        for topic in topics {
            do throws(NSQError) {
                let consumer = try Consumer(
                    topic: topic, channel: channel, nsqds: nsqds.tcpAddresses,
                    lookupds: nsqds.lookupdHttpAddress, options: options, logger: logger)
                if nsqds.lookupdHttpAddress.isEmpty { try await consumer.connected() }
                consumers.append((topic, consumer))
            } catch {
                throw UsageError(connecting: error)
            }
        }
        try await MessageTail(consumers, limit: limit, format: format).run()
    }

    private var format: MessageTail.Format {
        if json { return { Self.object($0, $1) + [UInt8(ascii: "\n")] } }
        guard isatty(STDOUT_FILENO) == 1 else {
            let showsTopic = topics.count > 1
            return { topic, message in
                (showsTopic ? Array("\(topic) | ".utf8) : []) + message.body
                    + [UInt8(ascii: "\n")]
            }
        }
        let hasColor = Terminal.environment("NO_COLOR").isEmpty
        let showsTopic = topics.count > 1
        return { topic, message in
            let time = Self.time(message.timestampNanoseconds) + (showsTopic ? " \(topic)" : "")
            let label = hasColor ? "\u{1b}[2m\(time)\u{1b}[0m " : "\(time) "
            // The body may contain control sequences that would change the terminal.
            let text = LogText.sanitized(String(decoding: message.body, as: UTF8.self))
            return Array("\(label)\(text)\n".utf8)
        }
    }

    /// Returns a message as a JSON object. A body that is not UTF-8 is in Base64.
    private static func object(_ topic: String, _ message: Message) -> [UInt8] {
        JSONWriter.object { json in
            json.member("topic", topic)
            json.member("id", message.id)
            json.member("timestamp", Int(message.timestampNanoseconds))
            json.member("attempts", message.attempts)
            if let text = String(validating: message.body, as: UTF8.self) {
                json.member("body", text)
            } else {
                json.member("body_base64", Data(message.body).base64EncodedString())
            }
        }
    }

    /// Returns the local time of day, with milliseconds.
    private static func time(_ nanoseconds: Int64) -> String {
        var seconds = time_t(nanoseconds / 1_000_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        func padded(_ number: some BinaryInteger, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let milliseconds = nanoseconds / 1_000_000 % 1000
        return "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))."
            + padded(max(0, milliseconds), 3)
    }
}
