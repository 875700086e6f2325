import ArgumentParser
import NSQTools
import TallyJSON

/// `tally stat`: prints the topics and channels of nsqds as a table for people, or as JSON.
struct StatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat",
        abstract: "Prints the topics and channels of nsqds with their depths.",
        discussion:
            "The numbers are the sums over all nsqds. With a topic, only that topic is shown."
            + HelpText.examples(
                #"""
                tally nsqd --http-address=127.0.0.1:4151 --memory-only & sleep 1
                curl -d hello 'http://127.0.0.1:4151/pub?topic=plays'
                tally stat
                tally stat plays --json
                kill $!
                """#))

    @Argument(help: "The topic. Default: all topics.")
    var topic: String?

    @Option(
        help:
            "The HTTP address of an nsqd; repeatable. Default: \(NSQDOptions.defaultHTTPAddress).")
    var nsqdHttpAddress: [String] = []

    @Option(help: "The HTTP address of an nsqlookupd, instead of nsqds; repeatable. Needs a topic.")
    var lookupdHttpAddress: [String] = []

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard nsqdHttpAddress.isEmpty || lookupdHttpAddress.isEmpty else {
            throw ValidationError(
                "--nsqd-http-address and --lookupd-http-address cannot be combined")
        }
        guard lookupdHttpAddress.isEmpty || topic != nil else {
            throw ValidationError("--lookupd-http-address needs a topic")
        }
    }

    func run() async throws {
        let statistics: ClusterStatistics
        do throws(NSQDQueries.Failure) {
            statistics = try await self.statistics()
        } catch {
            throw UsageError(
                "\(error) (is an nsqd with an HTTP API running? pass its --nsqd-http-address)")
        }
        print(json ? String(decoding: Self.object(statistics), as: UTF8.self) : text(statistics))
    }

    private func statistics() async throws(NSQDQueries.Failure) -> ClusterStatistics {
        let client = try NSQDQueries(connectTimeout: .seconds(2), requestTimeout: .seconds(5))
        var nsqds = nsqdHttpAddress.isEmpty ? [NSQDOptions.defaultHTTPAddress] : nsqdHttpAddress
        if let topic, !lookupdHttpAddress.isEmpty {
            nsqds = try await client.nsqds(of: topic, lookupds: lookupdHttpAddress)
        }
        let statistics = try await client.statistics(of: nsqds, topic: topic)
        await client.stop()
        return statistics
    }

    // MARK: Output

    private func text(_ statistics: ClusterStatistics) -> String {
        guard !statistics.topics.isEmpty else {
            return topic.map { "unknown topic '\($0)'" } ?? "no topics"
        }
        var rows = [["TOPIC", "CHANNEL", "DEPTH", "IN FLIGHT", "DEFERRED", "MESSAGES", "CLIENTS"]]
        for (name, topic) in statistics.topics.sorted(by: { $0.key < $1.key }) {
            rows.append([
                name + (topic.isPaused ? " (paused)" : ""), "", "\(topic.depth)", "", "",
                "\(topic.messageCount)", "",
            ])
            for (name, channel) in topic.channels.sorted(by: { $0.key < $1.key }) {
                rows.append([
                    "", name + (channel.isPaused ? " (paused)" : ""), "\(channel.depth)",
                    "\(channel.inFlightCount)", "\(channel.deferredCount)",
                    "\(channel.messageCount)", "\(channel.clientCount)",
                ])
            }
        }
        return TextTable.lines(rows, leadingColumns: 2).joined(separator: "\n")
    }

    private static func object(_ statistics: ClusterStatistics) -> [UInt8] {
        JSONWriter.object { json in
            json.name("topics")
            json.array(statistics.topics.sorted { $0.key < $1.key }) { json, entry in
                json.object { write(entry.key, entry.value, to: &$0) }
            }
        }
    }

    private static func write(
        _ name: String, _ topic: ClusterStatistics.Topic, to json: inout JSONWriter
    ) {
        json.member("topic", name)
        json.member("depth", topic.depth)
        json.member("messages", topic.messageCount)
        json.member("paused", topic.isPaused)
        json.name("channels")
        json.array(topic.channels.sorted { $0.key < $1.key }) { json, entry in
            let channel = entry.value
            json.object { json in
                json.member("channel", entry.key)
                json.member("depth", channel.depth)
                json.member("in_flight", channel.inFlightCount)
                json.member("deferred", channel.deferredCount)
                json.member("requeued", channel.requeueCount)
                json.member("timed_out", channel.timeoutCount)
                json.member("messages", channel.messageCount)
                json.member("clients", channel.clientCount)
                json.member("paused", channel.isPaused)
            }
        }
    }
}
