import ArgumentParser
import GoFlags
import NSQBroker
import NSQClient
import NSQTools
import NSQWire

/// `tally nsq_to_nsq`: publishes the messages of topics to other nsqds.
struct NSQToNSQCommand: NSQProgram {
    static let configuration = CommandConfiguration(
        commandName: "nsq_to_nsq",
        abstract: "Publishes the messages of topics to other nsqds, with nsq_to_nsq's flags.")

    struct Values: Sendable {
        var addresses = ToolAddresses()
        var destinations: [String] = []
        var topics: [String] = []
        var channel = "nsq_to_nsq"
        var destinationTopic = ""
        var maxInFlight = 200
        var mode = "hostpool"
        var filter = JSONFilter()
        var statusEvery = 250
        var consumer = GoNSQOptions()
        var producer = GoNSQOptions()
        var showsVersion = false
    }

    static let flags = FlagSet(
        name: "nsq_to_nsq",
        options: [
            FlagOption<Values>("channel", \.channel, "channel to consume"),
            FlagOption(
                "consumer-opt", \.consumer,
                "option of the consumers under its name in go-nsq: name,value; repeatable"),
            FlagOption(
                "destination-nsqd-tcp-address", \.destinations,
                "TCP address of an nsqd to publish to; repeatable"),
            FlagOption(
                "destination-topic", \.destinationTopic,
                "topic to publish to; the consumed topic by default"),
            FlagOption(
                "lookupd-http-address", \.addresses.lookupds,
                "HTTP address of an nsqlookupd; repeatable"),
            FlagOption("max-in-flight", \.maxInFlight, "maximum number of messages in flight"),
            FlagOption(
                "mode", \.mode,
                "accepted, and the same for every value: the connected destinations in turn"),
            FlagOption(
                "nsqd-tcp-address", \.addresses.nsqds, "TCP address of an nsqd; repeatable"),
            FlagOption(
                "producer-opt", \.producer,
                "option of the producer under its name in go-nsq: name,value; repeatable"),
            FlagOption(
                "require-json-field", \.filter.requiredField,
                "only pass JSON messages that have this field"),
            FlagOption(
                "require-json-value", \.filter.requiredValue,
                "only pass JSON messages in which the required field has this value"),
            FlagOption("status-every", \.statusEvery, "ignored"),
            FlagOption("topic", \.topics, "topic to consume; repeatable"),
            FlagOption("version", \.showsVersion, "print the version and exit"),
            FlagOption(
                "whitelist-json-field", \.filter.fields,
                "only pass this field of JSON messages; repeatable"),
        ])

    static let defaults = Values()

    static let exampleLines = [
        "tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1",
        "tally pub plays '{\"video\":7,\"user\":\"x\"}'",
        "tally nsq_to_nsq --nsqd-tcp-address=127.0.0.1:4150 --topic=plays \\",
        "    --destination-nsqd-tcp-address=127.0.0.1:4150 --destination-topic=videos \\",
        "    --whitelist-json-field=video & sleep 1",
        "tally tail videos -n 1",
        "kill $(jobs -p)",
    ]

    static func version(_ values: Values) -> String? { values.showsVersion ? versionLine : nil }

    static func run(_ parsed: FlagSet<Values>.Parsed) async -> Int32 {
        await status {
            try validate(parsed.values)
            try await forward(parsed.values)
        }
    }

    private static func validate(_ values: Values) throws(ToolError) {
        guard !values.topics.isEmpty, !values.channel.isEmpty else {
            throw ToolError("--topic and --channel are required")
        }
        guard values.topics.allSatisfy({ TopicName($0) != nil }) else {
            throw ToolError("--topic is invalid")
        }
        guard values.destinationTopic.isEmpty || TopicName(values.destinationTopic) != nil else {
            throw ToolError("--destination-topic is invalid")
        }
        guard ChannelName(values.channel) != nil else { throw ToolError("--channel is invalid") }
        try values.addresses.validate(nsqdFlag: "--nsqd-tcp-address")
        guard !values.destinations.isEmpty else {
            throw ToolError("--destination-nsqd-tcp-address required")
        }
    }

    /// Forwards messages until a signal arrives, and then completes the publishes in progress.
    private static func forward(_ values: Values) async throws {
        let signals = try await StopSignals.watch()
        let producer = try producer(values)
        let forwarders = try await forwarders(values, producer)
        // By default the number of attempts is not limited, so that no message is lost while the
        // destinations cannot be reached.
        var retry = values.consumer.retry
        if !values.consumer.limitsAttempts { retry.maxAttempts = 0 }
        let policy = retry
        let concurrency = min(max(1, values.maxInFlight), maxConcurrency)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for forwarder in forwarders {
                group.addTask {
                    try await forwarder.run(concurrency: concurrency, retry: policy)
                }
            }
            _ = await signals.next()
            for forwarder in forwarders { await forwarder.consumer.stop() }
            try await group.waitForAll()
        }
        await producer.stop()
        await signals.stop()
    }

    /// For each topic, the maximum number of copies that are published and not yet acknowledged.
    private static let maxConcurrency = 1_000

    private static func producer(_ values: Values) throws -> Producer {
        var options = try values.producer.producerOptions()
        options.distribution = .roundRobin
        if values.producer.client.userAgent == ClientOptions().userAgent {
            options.client.userAgent = "nsq_to_nsq/\(nsqVersion)"
        }
        return try Producer(
            nsqds: values.destinations, options: options,
            logger: LineLog.logger(programName, .warn))
    }

    private static func forwarders(
        _ values: Values, _ producer: Producer
    ) async throws -> [Forwarder] {
        let logger = LineLog.logger(programName, .warn)
        var options = try values.consumer.consumerOptions(maxInFlight: values.maxInFlight)
        if values.consumer.client.userAgent == ClientOptions().userAgent {
            options.client.userAgent = "nsq_to_nsq/\(nsqVersion)"
        }
        var forwarders: [Forwarder] = []
        for topic in values.topics {
            let consumer = try Consumer(
                topic: topic, channel: values.channel, nsqds: values.addresses.nsqds,
                lookupds: values.addresses.lookupds, options: options, logger: logger)
            if values.addresses.lookupds.isEmpty { try await consumer.connected() }
            let destination = values.destinationTopic.isEmpty ? topic : values.destinationTopic
            forwarders.append(
                Forwarder(consumer, to: destination, producer, values.filter, logger: logger))
        }
        return forwarders
    }
}
