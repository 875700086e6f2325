import Foundation
import NSQWire

/// Some publishing commands, prepared once and sent over and over.
struct BenchCommands {
    /// As they go into the kernel, or into TLS.
    let bytes: [UInt8]
    /// How many messages they hold.
    let messages: Int
    /// How many messages an OK stands for.
    let messagesPerAnswer: Int
    /// How many times over they are under way.
    let window: Int

    /// Messages in an MPUB.
    static let batch = 200
    private static let bodyBytes = 200

    /// MPUBs of 200 messages, 20 under way.
    static func multiPublish(to topic: TopicName, _ transport: BenchTransport) -> Self {
        var bytes: [UInt8] = []
        Command.appendMultiPublish(topic, bodies, to: &bytes)
        return Self(
            bytes: transport.prepared(bytes), messages: batch, messagesPerAnswer: batch, window: 20)
    }

    /// PUBs, 200 under way, in two writes: one a command would measure system calls.
    static func publish(to topic: TopicName, _ transport: BenchTransport) -> Self {
        var bytes: [UInt8] = []
        for body in bodies.prefix(100) { Command.publish(topic).append(body: body, to: &bytes) }
        return Self(
            bytes: transport.prepared(bytes), messages: 100, messagesPerAnswer: 1, window: 2)
    }

    /// One PUB, to be sent as it is.
    static func lone(to topic: TopicName) -> [UInt8] {
        var bytes: [UInt8] = []
        Command.publish(topic).append(body: bodies[0], to: &bytes)
        return bytes
    }

    /// Plays of 200 bytes each, all different: what compresses like what people send.
    private static let bodies = (0..<batch).map { number in
        let play =
            "{\"video_id\":\"\(UUID())\",\"play_id\":\"\(UUID())\",\"position_seconds\":\(number),"
            + "\"player\":\"living room\",\"note\":\""
        let room = bodyBytes - play.utf8.count - 2
        return Array(play.utf8) + Array(repeating: UInt8(ascii: "."), count: room)
            + Array("\"}".utf8)
    }
}
