import ArgumentParser
import GoFlags
import NSQBroker
import NSQClient
import NSQTools

/// `tally to_nsq`: publishes standard input.
struct ToNSQCommand: NSQProgram {
    static let configuration = CommandConfiguration(
        commandName: "to_nsq",
        abstract: "Publishes the lines of standard input, with to_nsq's flags.")

    struct Values: Sendable {
        var nsqds: [String] = []
        var topic = ""
        var delimiter = "\n"
        var rate = 0
        var settings = GoNSQOptions()
    }

    static let flags = FlagSet(
        name: "to_nsq",
        options: [
            FlagOption<Values>(
                "delimiter", \.delimiter, "character between two messages, a line end by default"),
            FlagOption(
                "nsqd-tcp-address", \.nsqds,
                "TCP address of an nsqd that receives all messages; repeatable"),
            FlagOption(
                "producer-opt", \.settings,
                "option of the producer under its name in go-nsq: name,value; repeatable"),
            FlagOption("rate", \.rate, "maximum number of messages per second; 0 for no limit"),
            FlagOption("topic", \.topic, "topic to publish to"),
        ])

    static let defaults = Values()

    static let exampleLines = [
        "tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1",
        "seq 3 | tally to_nsq --nsqd-tcp-address=127.0.0.1:4150 --topic=plays",
        "tally nsq_tail --nsqd-tcp-address=127.0.0.1:4150 --topic=plays -n=3",
        "kill $!",
    ]

    static func version(_ values: Values) -> String? { nil }

    static func run(_ parsed: FlagSet<Values>.Parsed) async -> Int32 {
        await status {
            let publisher = try publisher(parsed.values)
            try await publisher.run()
        }
    }

    private static func publisher(_ values: Values) throws -> LinePublisher {
        guard !values.topic.isEmpty else { throw ToolError("--topic required") }
        guard values.delimiter.utf8.count == 1 else {
            throw ToolError("--delimiter must be a single byte")
        }
        guard !values.nsqds.isEmpty else { throw ToolError("--nsqd-tcp-address required") }
        var options = try values.settings.producerOptions()
        if values.settings.client.userAgent == ClientOptions().userAgent {
            options.client.userAgent = "to_nsq/\(nsqVersion)"
        }
        let logger = LineLog.logger(programName, .warn)
        var producers: [Producer] = []
        for nsqd in Set(values.nsqds).sorted() {
            producers.append(try Producer(nsqd: nsqd, options: options, logger: logger))
        }
        var publisher = LinePublisher(producers, topic: values.topic)
        publisher.delimiter = values.delimiter.utf8.first!
        publisher.rate = values.rate >= 1 ? values.rate : nil
        return publisher
    }
}
