import Foundation
import NSQWire
import TallyBasics
import TestKit
import TestTraits
import Testing
import UVLoop

@testable import BrokerCore
@testable import NSQBroker

/// NSQ documentation, “nsqd”, statsd.
@Suite(.blocking) struct `A statsd report` {
    private var options = StatsdOptions()

    init() { options.sendsMemory = false }

    private func lines(_ datagrams: [[UInt8]]) -> [String] {
        datagrams.flatMap { String(decoding: $0, as: UTF8.self).split(separator: "\n") }
            .map(String.init)
    }

    private func statistics(
        _ topic: String = "plays", messages: Int = 0, channels: [String] = []
    ) -> BrokerStatistics {
        let broker = Broker(at: Timestamp(monotonic: 0, wall: 1 << 60))
        broker.createTopic(TopicName(topic)!, at: broker.startedAt)
        for channel in channels {
            _ = broker.createChannel(
                ChannelName(channel)!, of: TopicName(topic)!, at: broker.startedAt)
        }
        for _ in 0..<messages {
            Array("play".utf8).withUnsafeBytes {
                try? broker.publish($0, to: TopicName(topic)!, at: broker.startedAt)
            }
        }
        return broker.statistics(at: broker.startedAt)
    }

    @Test func `contains all counters of topics and channels with the host in the prefix`() {
        var report = StatsdReport(options, host: "a.b-c:4151")
        let told = lines(
            report.datagrams(of: statistics(messages: 2, channels: ["count"]), memory: []))
        #expect(
            told
                == [
                    "topic.plays.message_count:2|c", "topic.plays.message_bytes:8|c",
                    "topic.plays.depth:0|g", "topic.plays.backend_depth:0|g",
                    "topic.plays.channel.count.message_count:2|c",
                    "topic.plays.channel.count.depth:2|g",
                    "topic.plays.channel.count.backend_depth:0|g",
                    "topic.plays.channel.count.in_flight_count:0|g",
                    "topic.plays.channel.count.deferred_count:0|g",
                    "topic.plays.channel.count.requeue_count:0|c",
                    "topic.plays.channel.count.timeout_count:0|c",
                    "topic.plays.channel.count.clients:0|g",
                ].map { "nsq.a_b-c_4151.\($0)" })
    }

    @Test func `contains the differences to the previous report, including 0`() {
        var report = StatsdReport(options, host: "h:1")
        _ = report.datagrams(of: statistics(messages: 2), memory: [])
        let more = lines(report.datagrams(of: statistics(messages: 5), memory: []))
        #expect(more.contains("nsq.h_1.topic.plays.message_count:3|c"))
        let none = lines(report.datagrams(of: statistics(messages: 5), memory: []))
        #expect(none.contains("nsq.h_1.topic.plays.message_count:0|c"))
    }

    @Test func `packs whole lines into datagrams`() {
        var options = options
        options.packetBytes = 70
        options.prefix = "n"
        var report = StatsdReport(options, host: "h:1")
        let datagrams = report.datagrams(of: statistics(), memory: [])
        #expect(
            datagrams.map { String(decoding: $0, as: UTF8.self) } == [
                "n.topic.plays.message_count:0|c\nn.topic.plays.message_bytes:0|c\n",
                "n.topic.plays.depth:0|g\nn.topic.plays.backend_depth:0|g\n",
            ])
        options.packetBytes = 1
        report = StatsdReport(options, host: "h:1")
        #expect(report.datagrams(of: statistics(), memory: []).count == 4)
    }

    @Test func `includes memory and excludes ephemeral topics if configured`() {
        var options = options
        options.sendsMemory = true
        options.excludesEphemeral = true
        options.prefix = ""
        var report = StatsdReport(options, host: "h:1")
        let all = statistics(messages: 1, channels: ["brief#ephemeral", "count"])
        let told = lines(report.datagrams(of: all, memory: all.memory))
        #expect(!told.contains { $0.contains("#ephemeral") })
        #expect(told.contains("topic.plays.channel.count.depth:1|g"))
        #expect(told.contains("mem.gc_runs:0|c"))
        #expect(told.contains { $0.hasPrefix("mem.heap_in_use_bytes:") })
        let none = report.datagrams(of: statistics("t#ephemeral"), memory: [])
        #expect(none.isEmpty)
    }

    @Test func `is sent in datagrams once per interval`() async throws {
        let statsd = try DatagramReceiver()
        var services = ServerOptions()
        services.addresses.broadcast = "here"
        services.addresses.broadcastHTTPPort = 7
        services.statsd.address = statsd.address.replacing("127.0.0.1", with: "localhost")
        services.statsd.interval = .seconds(2)
        let nsqd = try await HTTPProbe.start(clock: .manual) { $0 = services }
        _ = try nsqd.post("/pub?topic=plays", "play")
        let count = "nsq.here_7.topic.plays.message_count"
        var told = ""
        // The host name is looked up for each report. The lookup takes real time, which the manual
        // clock does not show.
        for _ in 1...10_000 where !told.contains("\(count):0|c\n") {
            try await nsqd.advance(by: services.statsd.interval)
            told += statsd.datagrams(untilSilentFor: 0.01).map(\.text).joined()
        }
        let reports = told.split(separator: "\n").filter { $0.hasPrefix(count) }
        #expect(reports.first == "\(count):1|c" && reports.dropFirst().first == "\(count):0|c")
        #expect(told.contains(/nsq\.here_7\.mem\.heap_objects:\d+\|g\n/))
        await nsqd.stop()
    }

    @Test(.ours("an interval of a second at most ends it in a panic"))
    func `does not delay the broker if there is no statsd`() async throws {
        var services = ServerOptions()
        services.statsd.address = "127.0.0.1:1"
        services.statsd.interval = .milliseconds(20)
        let nsqd = try await HTTPProbe.start(clock: .manual) { $0 = services }
        for _ in 0..<20 {
            _ = try nsqd.post("/pub?topic=plays", "play")
            try await nsqd.advance(by: .milliseconds(20))
        }
        #expect(try nsqd.topic("plays")?["message_count"] as? Int == 20)
        await nsqd.stop()
    }
}
