import ArgumentParser
import NSQBroker
import NSQClient

/// `tally pub`: publishes messages that a person types, or the lines of standard input.
struct PubCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pub",
        abstract: "Publishes messages, or the lines of standard input.",
        discussion: "Each text is one message. With several nsqds, the first that is connected "
            + "receives it."
            + HelpText.examples(
                #"""
                tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1
                tally pub plays 'one play'
                tally pub plays a b c
                seq 100 | tally pub plays
                kill $!
                """#))

    @Argument(help: "The topic.")
    var topic: String

    @Argument(help: "The messages. Default: the lines of standard input.")
    var texts: [String] = []

    @Option(
        help: "The TCP address of an nsqd; repeatable. Default: \(NSQDOptions.defaultTCPAddress).")
    var nsqdTcpAddress: [String] = []

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        var options = Producer.Options()
        options.client = try connection.clientOptions(ofCommand: "pub")
        let addresses =
            nsqdTcpAddress.isEmpty ? [NSQDOptions.defaultTCPAddress] : nsqdTcpAddress
        do {
            let producer = try Producer(
                nsqds: addresses, options: options, logger: LineLog.logger("pub", .error))
            if texts.isEmpty {
                try await LinePublisher([producer], topic: topic).run()
            } else {
                for text in texts { try await producer.publish(text, to: topic) }
                await producer.stop()
            }
        } catch {
            throw UsageError(connecting: error)
        }
    }
}
