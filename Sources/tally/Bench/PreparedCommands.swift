import Foundation
import NSQWire

/// Publishing commands that are encoded once and sent repeatedly.
struct PreparedCommands {
    /// The encoded commands, compressed if the connection uses compression.
    let bytes: [UInt8]
    /// The number of messages in ``bytes``.
    let messages: Int
    /// The number of messages that one `OK` acknowledges.
    let messagesPerAnswer: Int
    /// The maximum number of sent copies of ``bytes`` without a response.
    let window: Int

    /// The number of messages per MPUB.
    static let batch = 200
    private static let bodyBytes = 200

    /// Returns one MPUB of 200 messages. Up to 20 MPUBs are sent without a response.
    static func multiPublish(to topic: TopicName, _ transport: BenchTransport) -> Self {
        var bytes: [UInt8] = []
        Command.appendMultiPublish(topic, bodies, to: &bytes)
        return Self(
            bytes: transport.prepared(bytes), messages: batch, messagesPerAnswer: batch, window: 20)
    }

    /// Returns 100 PUBs that are sent in one write, because with one write per PUB, the benchmark
    /// would measure system calls. Up to 200 PUBs are sent without a response.
    static func publish(to topic: TopicName, _ transport: BenchTransport) -> Self {
        var bytes: [UInt8] = []
        for body in bodies.prefix(100) { Command.publish(topic).append(body: body, to: &bytes) }
        return Self(
            bytes: transport.prepared(bytes), messages: 100, messagesPerAnswer: 1, window: 2)
    }

    /// Returns one uncompressed PUB.
    static func single(to topic: TopicName) -> [UInt8] {
        var bytes: [UInt8] = []
        Command.publish(topic).append(body: bodies[0], to: &bytes)
        return bytes
    }

    /// The bodies, each of 200 bytes. All are different plays, so that they compress like real
    /// messages.
    private static let bodies = (0..<batch).map { number in
        let play =
            "{\"video_id\":\"\(UUID())\",\"play_id\":\"\(UUID())\",\"position_seconds\":\(number),"
            + "\"player\":\"living room\",\"note\":\""
        let padding = bodyBytes - play.utf8.count - 2
        return Array(play.utf8) + Array(repeating: UInt8(ascii: "."), count: padding)
            + Array("\"}".utf8)
    }
}
