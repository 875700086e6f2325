import Foundation
import TestKit
import TestTraits
import Testing

/// Statsd over UDP, with our broker or the nsqd of `NSQD_PROGRAM`. A real nsqd panics if the interval
/// is one second or less, so the tests use longer ones.
@Suite(.blocking, .timeLimit(.minutes(15))) struct `Statsd metrics` {
    private let statsd: DatagramReceiver

    init() throws { statsd = try DatagramReceiver() }

    private func start(every interval: String, _ flags: String...) throws -> TestDaemon {
        let common = [
            "--statsd-address=\(statsd.address)", "--statsd-interval=\(interval)",
            "--statsd-prefix=here", "--statsd-mem-stats=false",
        ]
        return TestDaemon(try RunningNSQD(common + flags))
    }

    @Test func `are spread over the interval except its last second in small datagrams`() throws {
        let beginning = Date()
        let daemon = try start(every: "3s", "--statsd-udp-packet-size=70")
        for number in 0..<10 { try daemon.act("/topic/create", topic: "t\(number)") }
        let last = /topic\.t9\.backend_depth:0/
        try #require(statsd.datagrams(upTo: last) != nil)
        #expect(-beginning.timeIntervalSinceNow >= 3, "the first after an interval")
        // 20 datagrams take 2 s. If the machine stalls meanwhile, it delays the first datagram more
        // than the last.
        var duration = 0.0
        for _ in 1...50 where duration <= 1 {
            // The first report may be sent before some topics exist. The later reports are complete.
            let push = try #require(statsd.datagrams(upTo: last))
            #expect(push.count == 20)
            #expect(push.allSatisfy { $0.text.utf8.count <= 70 && $0.text.hasSuffix("\n") })
            #expect(push.map(\.text).joined().split(separator: "\n").count == 40)
            duration = try #require(push.last).date.timeIntervalSince(push[0].date)
        }
        #expect(duration > 1, "\(duration) s")
        #expect(daemon.nsqd.stop())
    }

    @Test func `include latencies if configured, and counters restart each time`() throws {
        let daemon = try start(every: "1500ms", "--e2e-processing-latency-percentile=1,0.99,0.5")
        let consumer = try daemon.consumer(ready: 1)
        try daemon.publish("play")
        try consumer.tell("FIN", consumer.next())
        try consumer.settle()
        let text = try told(upTo: /plays\.channel\.counts\.e2e_processing_latency_50:/)
        for place in ["here.topic.plays.", "here.topic.plays.channel.counts."] {
            let numbers = ["100", "99", "50"].compactMap { percent in
                text.firstMatch(
                    of: try! Regex("\(place)e2e_processing_latency_\(percent):([0-9]+)\\|g\n"))
            }
            #expect(numbers.count == 3, "\(place)")
        }
        #expect(text.contains("here.topic.plays.channel.counts.message_count:1|c\n"))
        #expect(text.contains("here.topic.plays.channel.counts.clients:1|g\n"))
        let next = try told(upTo: /plays\.channel\.counts\.message_count:0\|c/)
        #expect(next.contains("here.topic.plays.message_bytes:0|c\n"))
        #expect(daemon.nsqd.stop())
    }

    private func told(upTo text: some RegexComponent) throws -> String {
        try #require(statsd.datagrams(upTo: text)).map(\.text).joined()
    }
}
