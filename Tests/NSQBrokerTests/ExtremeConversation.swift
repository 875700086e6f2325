import BrokerCore
import NSQWire
import TallyBasics

@testable import NSQBroker

/// A conversation with a broker that has extreme options: each command once, a timeout of each
/// kind, and the reports of statistics.
final class ExtremeConversation {
    private let options: ServerOptions
    private let broker: Broker
    private let session: Session
    private var now = Timestamp(monotonic: 1 << 40, wall: 1 << 60)
    /// The ID of the message that was delivered last.
    private var messageID = "0123456789abcdef"

    init(_ options: ServerOptions) {
        self.options = options
        broker = Broker(options: options.core, at: now)
        session = broker.connect(from: "test:1", host: "test", at: now)
    }

    func run() {
        send("  V2")
        send("IDENTIFY\n", body: "{}")
        send("SUB plays count\n")
        send("RDY 1\n")
        send("PUB plays\n", body: "one")
        send("MPUB plays\n", body: "\0\0\0\u{1}\0\0\0\u{1}x")
        send("DPUB plays 1\n", body: "two")
        send("TOUCH \(messageID)\n")
        send("REQ \(messageID) 1\n")
        send("FIN \(messageID)\n")
        for delay in [1, 1_000_000_000, Limits.longestDuration.nanoseconds] {
            now = Timestamp(
                monotonic: now.monotonic.addingSaturated(delay),
                wall: now.wall.addingSaturated(delay))
            broker.tick(at: now)
            finishIteration()
        }
        send("TOUCH \(messageID)\n")
        send("CLS\n")
        reportStatistics()
    }

    private func reportStatistics() {
        var report = StatsdReport(options.statsd, host: "test:1")
        _ = report.datagrams(of: broker.statistics(at: now), memory: [])
        _ = options.tcpConnectionLimit + options.httpConnectionLimit
    }

    private func send(_ command: String, body: String? = nil) {
        guard !session.isEnded else { return }
        var bytes = Array(command.utf8)
        if let body {
            bytes.append(bigEndian: UInt32(body.utf8.count))
            bytes += body.utf8
        }
        _ = bytes.withUnsafeBytes { broker.receive($0, from: session, at: now) }
        finishIteration()
    }

    private func finishIteration() {
        while !broker.endIteration(at: now).isEmpty {
            var received: [UInt8] = []
            session.outbox.drain { received += $0 }
            readMessageID(in: received)
        }
    }

    private func readMessageID(in frames: [UInt8]) {
        frames.withUnsafeBytes { frames in
            var offset = 0
            while offset + MessageFrame.bodyOffset <= frames.count {
                if frames.bigEndian(at: offset + 4, as: Int32.self) == 2 {
                    let start = offset + MessageFrame.idOffset
                    messageID = String(decoding: frames[start..<start + 16], as: UTF8.self)
                }
                offset += MessageFrame.byteCount(of: frames, at: offset)
            }
        }
    }
}
