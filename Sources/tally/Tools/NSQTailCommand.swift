import ArgumentParser
import GoFlags
import NSQBroker
import NSQClient
import NSQTools

/// `tally nsq_tail`: prints the messages of topics.
struct NSQTailCommand: NSQProgram {
    static let configuration = CommandConfiguration(
        commandName: "nsq_tail", abstract: "Prints the messages of topics, with nsq_tail's flags.")

    struct Values: Sendable {
        var addresses = ToolAddresses()
        var topics: [String] = []
        var channel = ""
        var maxInFlight = 200
        var limit = 0
        var printsTopic = false
        var settings = GoNSQOptions()
        var showsVersion = false
    }

    static let flags = FlagSet(
        name: "nsq_tail",
        options: [
            FlagOption<Values>(
                "channel", \.channel, "channel to consume; a temporary one by default"),
            FlagOption(
                "consumer-opt", \.settings,
                "option of the consumer under its name in go-nsq: name,value; repeatable"),
            FlagOption(
                "lookupd-http-address", \.addresses.lookupds,
                "HTTP address of an nsqlookupd; repeatable"),
            FlagOption("max-in-flight", \.maxInFlight, "maximum number of messages in flight"),
            FlagOption("n", \.limit, "number of messages to print; 0 for no limit"),
            FlagOption(
                "nsqd-tcp-address", \.addresses.nsqds, "TCP address of an nsqd; repeatable"),
            FlagOption("print-topic", \.printsTopic, "print the topic before each message"),
            FlagOption("topic", \.topics, "topic to consume; repeatable"),
            FlagOption("version", \.showsVersion, "print the version and exit"),
        ])

    static let defaults = Values()

    static let exampleLines = [
        "tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1",
        "curl -d hello 'http://127.0.0.1:4151/pub?topic=plays'",
        "tally nsq_tail --nsqd-tcp-address=127.0.0.1:4150 --topic=plays -n=1",
        "kill $!",
    ]

    static func version(_ values: Values) -> String? { values.showsVersion ? versionLine : nil }

    static func run(_ parsed: FlagSet<Values>.Parsed) async -> Int32 {
        await status {
            let tail = try await tail(parsed.values)
            try await tail.run()
        }
    }

    private static func tail(_ values: Values) async throws -> MessageTail {
        try values.addresses.validate(nsqdFlag: "--nsqd-tcp-address")
        guard !values.topics.isEmpty else { throw ToolError("--topic required") }
        let logger = LineLog.logger(programName, .warn)
        // Messages beyond the limit would only be requeued, so no more are requested.
        let isLimited = values.limit > 0
        var options = try values.settings.consumerOptions(
            maxInFlight: isLimited ? min(values.limit, values.maxInFlight) : values.maxInFlight)
        if values.settings.client.userAgent == ClientOptions().userAgent {
            options.client.userAgent = "nsq_tail/\(nsqVersion)"
        }
        let channel = values.channel.isEmpty ? MessageTail.temporaryChannel() : values.channel
        var consumers: [(topic: String, consumer: Consumer)] = []
        for topic in values.topics {
            let consumer = try Consumer(
                topic: topic, channel: channel, nsqds: values.addresses.nsqds,
                lookupds: values.addresses.lookupds, options: options, logger: logger)
            // As in NSQ's nsq_tail, it is an error if an nsqd cannot be reached at the start, but
            // not if an nsqlookupd cannot be reached.
            if values.addresses.lookupds.isEmpty { try await consumer.connected() }
            consumers.append((topic, consumer))
        }
        let printsTopic = values.printsTopic
        return MessageTail(consumers, limit: isLimited ? values.limit : nil) { topic, message in
            (printsTopic ? Array("\(topic) | ".utf8) : []) + message.body + [UInt8(ascii: "\n")]
        }
    }
}
