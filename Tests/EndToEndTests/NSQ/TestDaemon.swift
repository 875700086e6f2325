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
        let answer = try ask("POST", "\(path)?\(escaped)")
        #expect(answer.hasPrefix("HTTP/1.0 200 "), "\(path)?\(query)")
    }

    func ask(_ method: String, _ target: String) throws -> String {
        let descriptor = try connectedSocket(to: nsqd.httpAddress)
        defer { close(descriptor) }
        let request = Array("\(method) \(target) HTTP/1.0\r\nContent-Length: 0\r\n\r\n".utf8)
        _ = Glibc.send(descriptor, request, request.count, Int32(MSG_NOSIGNAL))
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while case let count = recv(descriptor, &chunk, chunk.count, 0), count > 0 {
            answer += chunk[..<count]
        }
        return String(decoding: answer, as: UTF8.self)
    }

    func topic(_ name: String = "plays") throws -> TopicNumbers? {
        try topics().first { $0.topicName == name }
    }

    func topics() throws -> [TopicNumbers] {
        let answer = try ask("GET", "/stats?format=json&include_mem=false")
        let body = try #require(answer.range(of: "\r\n\r\n")).upperBound
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Statistics.self, from: Data(answer[body...].utf8)).topics ?? []
    }

    func channel(_ name: String = "counts", of topic: String = "plays") throws -> ChannelNumbers? {
        try self.topic(topic)?.channels.first { $0.channelName == name }
    }

    /// Polls the statistics until they match, because nsqd updates them with a delay.
    func becomes(_ isAsItShould: () throws -> Bool) throws -> Bool {
        let deadline = Date(timeIntervalSinceNow: longestWait)
        while try !isAsItShould() {
            guard deadline.timeIntervalSinceNow > 0 else { return false }
            Thread.sleep(forTimeInterval: 0.02)
        }
        return true
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
