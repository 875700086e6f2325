import Foundation
import TestKit
import Testing

/// A running broker with its TCP and HTTP addresses.
struct TestDaemon {
    let nsqd: RunningNSQD

    init(_ nsqd: RunningNSQD) { self.nsqd = nsqd }

    init(_ flags: String..., dataPath: String? = nil) throws {
        nsqd = try RunningNSQD(flags, dataPath: dataPath)
    }

    /// A client that has sent IDENTIFY without output buffering, so that nsqd delivers at once too.
    func client(_ settings: String = "") throws -> BlockingClient {
        let client = try BlockingClient(connectingTo: nsqd.tcpAddress)
        let json = #"{"output_buffer_size":-1\#(settings.isEmpty ? "" : ",")\#(settings)}"#
        #expect(try client.ask("IDENTIFY", Array(json.utf8)) == "OK")
        return client
    }

    /// A client that subscribes to a channel with the RDY count `ready`.
    func consumer(
        of topic: String = "plays", _ channel: String = "counts", ready: Int,
        _ settings: String = ""
    ) throws -> BlockingClient {
        let client = try client(settings)
        #expect(try client.ask("SUB \(topic) \(channel)") == "OK")
        try client.send(Array("RDY \(ready)\n".utf8))
        return client
    }

    func publish(_ bodies: String..., to topic: String = "plays") throws {
        let client = try client()
        for body in bodies { #expect(try client.ask("PUB \(topic)", Array(body.utf8)) == "OK") }
    }

    // MARK: Over HTTP

    /// Sends a command for a topic or channel over HTTP, such as `/channel/pause`.
    func act(_ path: String, topic: String = "plays", channel: String? = nil) throws {
        let query = "topic=\(topic)" + (channel.map { "&channel=\($0)" } ?? "")
        let escaped = query.replacingOccurrences(of: "#", with: "%23")
        #expect(try request("POST", "\(path)?\(escaped)").status == 200, "\(path)?\(query)")
    }

    func request(_ method: String, _ target: String) throws -> ReceivedResponse {
        try ReceivedResponse(to: method, target, at: nsqd.httpAddress)
    }

    func topic(_ name: String = "plays") throws -> TopicNumbers? {
        try topics().first { $0.topicName == name }
    }

    func topics() throws -> [TopicNumbers] {
        let response = try request("GET", "/stats?format=json&include_mem=false")
        return try Statistics(json: response.body.utf8, keys: .convertFromSnakeCase).topics ?? []
    }

    func channel(_ name: String = "counts", of topic: String = "plays") throws -> ChannelNumbers? {
        try self.topic(topic)?.channels.first { $0.channelName == name }
    }
}

/// The response of `/stats`.
private struct Statistics: Decodable {
    var topics: [TopicNumbers]?
}

struct TopicNumbers: Decodable, Equatable {
    var topicName: String
    var channels: [ChannelNumbers]
    var depth, backendDepth, messageCount, messageBytes: Int
    var paused: Bool
}

struct ChannelNumbers: Decodable, Equatable {
    var channelName: String
    var depth, backendDepth, inFlightCount, deferredCount: Int
    var messageCount, requeueCount, timeoutCount, clientCount: Int
    var paused: Bool
}

extension BlockingClient {
    /// Waits for the next message.
    func next() throws -> Message { try #require(try message(timeout: longestWait)) }

    /// Returns `true` if no message arrives within the output buffer timeout.
    func staysSilent() throws -> Bool { try message(timeout: 0.4) == nil }

    /// Receives `count` messages in order.
    func next(_ count: Int) throws -> [Message] { try (0..<count).map { _ in try next() } }

    /// The error for a command about a message. Earlier commands are processed when it arrives.
    func complaint(_ verb: String, _ message: Message, _ rest: String = "") throws -> String {
        try ask("\(verb) \(String(decoding: message.id, as: UTF8.self))\(rest)")
    }

    /// Waits until all commands so far are processed.
    func settle() throws { #expect(try ask("PUB settled#ephemeral", [0]) == "OK") }

    /// Waits until all commands so far are processed, and receives the messages that have arrived.
    func settleAndDrain() throws -> [Message] {
        try settle()
        var messages: [Message] = []
        while let message = try message(timeout: 0) { messages.append(message) }
        return messages
    }
}
