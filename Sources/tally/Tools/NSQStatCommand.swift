import ArgumentParser
import GoFlags
import NSQBroker
import NSQTools

/// `tally nsq_stat`: prints the rates and the depth of a channel at intervals.
struct NSQStatCommand: NSQProgram {
    static let configuration = CommandConfiguration(
        commandName: "nsq_stat",
        abstract: "Prints the rates and the depth of a channel, with nsq_stat's flags.")

    struct Values: Sendable {
        var addresses = ToolAddresses()
        var topic = ""
        var channel = ""
        var interval = Duration.seconds(2)
        var connectTimeout = Duration.seconds(2)
        var requestTimeout = Duration.seconds(5)
        /// The number of reports; `Int.min` means no limit.
        var count = Int.min
        var showsVersion = false
    }

    static let flags = FlagSet(
        name: "nsq_stat",
        options: [
            FlagOption<Values>("channel", \.channel, "channel to report"),
            FlagOption("count", \.count, "number of reports; no limit by default"),
            FlagOption(
                "http-client-connect-timeout", \.connectTimeout, "connect timeout of requests"),
            FlagOption("http-client-request-timeout", \.requestTimeout, "timeout of requests"),
            FlagOption("interval", \.interval, "time between two reports"),
            FlagOption(
                "lookupd-http-address", \.addresses.lookupds,
                "HTTP address of an nsqlookupd; repeatable"),
            FlagOption(
                "nsqd-http-address", \.addresses.nsqds, "HTTP address of an nsqd; repeatable"),
            FlagOption("topic", \.topic, "topic of the channel"),
            FlagOption("version", \.showsVersion, "print the version and exit"),
        ])

    static let defaults = Values()

    static let exampleLines = [
        "tally nsqd --http-address=127.0.0.1:4151 --memory-only & sleep 1",
        "curl -X POST 'http://127.0.0.1:4151/topic/create?topic=plays'",
        "curl -X POST 'http://127.0.0.1:4151/channel/create?topic=plays&channel=counts'",
        "tally nsq_stat --nsqd-http-address=127.0.0.1:4151 --topic=plays \\",
        "    --channel=counts --count=1",
        "kill $!",
    ]

    static func version(_ values: Values) -> String? { values.showsVersion ? versionLine : nil }

    static func run(_ parsed: FlagSet<Values>.Parsed) async -> Int32 {
        await status {
            try validate(parsed.values)
            let signals = try await StopSignals.watch()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = await signals.next() }
                group.addTask { try await report(parsed.values) }
                try await group.next()
                group.cancelAll()
            }
            await signals.stop()
        }
    }

    private static func validate(_ values: Values) throws(ToolError) {
        guard !values.topic.isEmpty, !values.channel.isEmpty else {
            throw ToolError("--topic and --channel are required")
        }
        for (name, duration) in [
            ("interval", values.interval), ("http-client-connect-timeout", values.connectTimeout),
            ("http-client-request-timeout", values.requestTimeout),
        ] where duration <= .zero {
            throw ToolError("--\(name) should be positive")
        }
        guard values.count == .min || values.count > 0 else {
            throw ToolError("--count should be positive")
        }
        try values.addresses.validate(nsqdFlag: "--nsqd-http-address")
        for (name, list) in [
            ("nsqd", values.addresses.nsqds), ("lookupd", values.addresses.lookupds),
        ] where list.contains(where: { $0.hasPrefix("http") }) {
            throw ToolError("--\(name)-http-address error - address should not contain scheme")
        }
    }

    /// Prints the reports until the last one, or until the task is cancelled.
    private static func report(_ values: Values) async throws {
        let client = try NSQDQueries(
            connectTimeout: values.connectTimeout, requestTimeout: values.requestTimeout)
        var before: ClusterStatistics.Channel?
        var number = 0
        while values.count == .min || number <= values.count {
            let now = try await channel(values, client)
            if number % StatisticsLine.linesPerHeader == 0 {
                for line in StatisticsLine.header { print(line) }
            }
            if let before {
                print(StatisticsLine.text(now, since: before, interval: values.interval))
            }
            before = now
            if number == values.count { break }
            number += 1
            do { try await Task.sleep(for: values.interval) } catch { break }
        }
        await client.stop()
    }

    private static func channel(
        _ values: Values, _ client: NSQDQueries
    ) async throws -> ClusterStatistics.Channel {
        let lookupds = values.addresses.lookupds
        let nsqds =
            lookupds.isEmpty
            ? values.addresses.nsqds : try await client.nsqds(of: values.topic, lookupds: lookupds)
        let statistics = try await client.statistics(
            of: nsqds, topic: values.topic, channel: values.channel)
        guard let channel = statistics.topics[values.topic]?.channels[values.channel] else {
            throw ToolError(
                "failed to find channel(\(values.channel)) in stats metadata for "
                    + "topic(\(values.topic))")
        }
        return channel
    }
}
