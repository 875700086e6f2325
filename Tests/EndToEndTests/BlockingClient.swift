import Foundation
import NSQWire
import TestKit
import Testing

/// A blocking client with one socket. Commands are sent when a call returns.
final class BlockingClient {
    struct Closed: Error {}
    struct TimedOut: Error {}

    struct Message {
        var id: [UInt8]
        var timestampNanoseconds: Int64
        var attempts: Int
        var body: String
    }

    private let socket: BlockingSocket
    private var input: [UInt8] = []
    private var taken = 0
    private var messages: [Message] = []

    init(connectingTo address: String) throws {
        socket = try BlockingSocket(to: address)
        try send(Array("  V2".utf8))
    }

    func send(_ bytes: [UInt8]) throws {
        guard socket.send(bytes) else { throw Closed() }
    }

    /// Sends a command with its body, and waits for the response. Messages that arrive before it are
    /// stored.
    func ask(_ line: String, _ body: [UInt8]? = nil) throws -> String {
        try send(Array((line + "\n").utf8) + (body.map { Self.sized($0) } ?? []))
        while true {
            let (type, data) = try frame(timeout: longestWait)
            switch type {
            case 2: messages.append(Self.message(data))
            case 0 where data.elementsEqual("_heartbeat_".utf8): try send(Array("NOP\n".utf8))
            default: return String(decoding: data, as: UTF8.self)
            }
        }
    }

    /// The next message, or `nil` if none arrives within `timeout` seconds.
    func message(timeout: Double) throws -> Message? {
        if !messages.isEmpty { return messages.removeFirst() }
        let deadline = Date(timeIntervalSinceNow: timeout)
        while deadline.timeIntervalSinceNow > 0 {
            do {
                let (type, data) = try frame(timeout: deadline.timeIntervalSinceNow)
                if type == 2 { return Self.message(data) }
                try send(Array("NOP\n".utf8))
            } catch is TimedOut {
                return nil
            }
        }
        return nil
    }

    func tell(_ verb: String, _ message: Message, _ rest: String = "") throws {
        try send(Array("\(verb) ".utf8) + message.id + Array("\(rest)\n".utf8))
    }

    static func batch(_ bodies: [String]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32(bodies.count))
        for body in bodies { bytes += sized(Array(body.utf8)) }
        return bytes
    }

    private static func sized(_ body: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: Int32(body.count))
        return bytes + body
    }

    private static func message(_ data: [UInt8]) -> Message {
        Message(
            id: Array(data[10..<26]),
            timestampNanoseconds: data.withUnsafeBytes { $0.bigEndian(at: 0, as: Int64.self) },
            attempts: Int(data[8]) << 8 | Int(data[9]),
            body: String(decoding: data[26...], as: UTF8.self))
    }

    private func frame(timeout: Double) throws -> (Int32, [UInt8]) {
        try fill(4, timeout)
        let size = Int(input.withUnsafeBytes { $0.bigEndian(at: taken, as: Int32.self) })
        try fill(4 + size, timeout)
        let type = input.withUnsafeBytes { $0.bigEndian(at: taken + 4, as: Int32.self) }
        defer { taken += 4 + size }
        return (type, Array(input[taken + 8..<taken + 4 + size]))
    }

    private func fill(_ count: Int, _ timeout: Double) throws {
        while input.count - taken < count {
            input.removeFirst(taken)
            taken = 0
            guard socket.isReadable(within: timeout) else { throw TimedOut() }
            let more = socket.receive(atMost: 65_536)
            guard !more.isEmpty else { throw Closed() }
            input += more
        }
    }
}

/// Consumes and finishes the messages of a channel, and expects exactly `count`.
func consumeAll(
    _ address: String, _ topic: String, _ channel: String, _ count: Int
) throws -> [BlockingClient.Message] {
    let client = try BlockingClient(connectingTo: address)
    #expect(try client.ask("SUB \(topic) \(channel)") == "OK")
    try client.send(Array("RDY 100\n".utf8))
    var messages: [BlockingClient.Message] = []
    while messages.count < count, let message = try client.message(timeout: longestWait) {
        messages.append(message)
        try client.tell("FIN", message)
    }
    // Another message would arrive before this response.
    #expect(try client.ask("PUB fence#ephemeral", [1]) == "OK")
    #expect(try client.message(timeout: 0) == nil)
    return messages
}
