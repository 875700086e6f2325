import ArgumentParser
import GoFlags
import HTTP
import NSQBroker
import NSQClient
import NSQTools

/// `tally nsq_to_http`: sends the messages of a topic to HTTP endpoints.
struct NSQToHTTPCommand: NSQProgram {
    static let configuration = CommandConfiguration(
        commandName: "nsq_to_http",
        abstract: "Sends the messages of a topic to HTTP endpoints, with nsq_to_http's flags.")

    static let flags = FlagSet(name: "nsq_to_http", options: NSQToHTTPOptions.table)

    static let defaults = NSQToHTTPOptions()

    static let exampleLines = [
        "tally nsqd --tcp-address=127.0.0.1:4150 --memory-only & sleep 1",
        "tally pub plays hello",
        "tally nsq_to_http --nsqd-tcp-address=127.0.0.1:4150 --topic=plays \\",
        "    --post='http://127.0.0.1:4151/pub?topic=copies' & sleep 1",
        "tally tail copies -n 1",
        "kill $(jobs -p)",
    ]

    static func version(_ options: NSQToHTTPOptions) -> String? {
        options.showsVersion ? versionLine : nil
    }

    static func run(_ parsed: FlagSet<NSQToHTTPOptions>.Parsed) async -> Int32 {
        await status {
            let options = parsed.values
            try options.validate()
            let sender = try HTTPSender(
                connectTimeout: options.connectTimeout, requestTimeout: options.requestTimeout,
                maxBodyBytes: nil)
            let forwarder = try HTTPForwarder(
                to: options.endpoints, options.method, options.distribution,
                headers: try options.headerFields(), by: sender)
            try await forward(options, forwarder)
            await sender.stop()
        }
    }

    /// Sends messages until a signal arrives, and then completes the requests in progress.
    private static func forward(
        _ options: NSQToHTTPOptions, _ forwarder: HTTPForwarder
    ) async throws {
        let signals = try await StopSignals.watch()
        let consumer = try Consumer(
            topic: options.topic, channel: options.channel, nsqds: options.addresses.nsqds,
            lookupds: options.addresses.lookupds, options: try options.consumerOptions(),
            logger: LineLog.logger(programName, .warn))
        if options.addresses.lookupds.isEmpty { try await consumer.connected() }
        var retry = options.settings.retry
        // By default the number of attempts is not limited, so that no message is lost while the
        // endpoints cannot be reached.
        if !options.settings.limitsAttempts { retry.maxAttempts = 0 }
        let (policy, sample) = (retry, options.sample)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await consumer.run(
                    concurrency: min(max(1, options.publisherCount), 10_000), retry: policy
                ) { message in
                    guard sample >= 1 || Double.random(in: 0..<1) < sample else { return }
                    try await forwarder.send(message.body)
                }
            }
            _ = await signals.next()
            await consumer.stop()
            try await group.waitForAll()
        }
        await signals.stop()
    }
}
