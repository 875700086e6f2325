import BrokerCore
import Foundation
import NSQWire
import TestKit
import Testing

@Suite struct `Conversations recorded with nsqd` {
    @Test(arguments: try Recording.all)
    func `get the same responses from the broker`(recording: WireConversation) throws {
        try ConversationPlayer(recording).play()
    }

    @Test func `exist as fixtures`() throws {
        #expect(try Recording.all.count > 125)
    }
}

private enum Recording {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/wire")

    static var all: [WireConversation] {
        get throws { try WireConversation.all(in: folder) }
    }
}

/// Replays the clients and the authorization server of a conversation, and compares the responses
/// with nsqd's.
private final class ConversationPlayer {
    private let conversation: WireConversation
    private let broker: TestBroker
    private var clients: [String: TestClient] = [:]
    private var frames: [String: [(kind: Int32, data: [UInt8])]] = [:]
    private var met = WireText.Met()

    init(_ conversation: WireConversation) throws {
        self.conversation = conversation
        var options = try BrokerOptions(flags: conversation.flags)
        let answer = conversation.authServerAnswer
        if answer != nil { options.authRequired = true }
        broker = TestBroker(options)
        broker.authorizationServer = { _ in
            answer.flatMap { try? Authorization(parsing: Array($0.utf8)) }
        }
    }

    func play() throws {
        for step in conversation.steps {
            let client = client(named: step.client)
            switch step.action {
            case .send(let text): client.send(text.bytes(after: met))
            case .sendByteByByte(let text):
                for byte in text.bytes(after: met) { client.send([byte]) }
            case .end: client.end()
            case .expect(let kind, let text):
                let frame = frames[step.client]?.first
                #expect(frame?.kind == kind.rawValue, "line \(step.line)")
                guard let frame else { return }
                frames[step.client]!.removeFirst()
                #expect(
                    text.matches(frame.data, met: &met),
                    "line \(step.line): \(String(decoding: frame.data, as: UTF8.self))")
            case .expectNothing:
                #expect(frames[step.client, default: []].isEmpty, "line \(step.line)")
                #expect(!client.isDisconnected, "line \(step.line)")
            case .expectClose: #expect(client.isDisconnected, "line \(step.line)")
            case .wait(let duration): broker.pass(duration)
            }
        }
        for (name, frames) in frames { #expect(frames.isEmpty, "what came for “\(name)” besides") }
    }

    private func client(named name: String) -> TestClient {
        if let client = clients[name] { return client }
        let client = broker.connectedClient()
        client.onFrame = { [unowned self] frame in
            frames[name, default: []].append((frame.kind.rawValue, Array(frame.data)))
        }
        clients[name] = client
        return client
    }
}

extension BrokerOptions {
    fileprivate init(flags: [String]) throws {
        self.init()
        for flag in flags {
            let words = flag.split(separator: "=").map(String.init)
            switch words[0] {
            case "--max-channel-consumers": maxChannelConsumers = try #require(Int(words[1]))
            case "--max-deflate-level": maxDeflateLevel = try #require(Int(words[1]))
            case "--max-msg-size": maxMessageBytes = try #require(Int(words[1]))
            case "--max-body-size": maxBodyBytes = try #require(Int(words[1]))
            case "--max-rdy-count": maxReadyCount = try #require(Int(words[1]))
            case "--msg-timeout": messageTimeout = try #require(Duration(flag: words[1]))
            case "--max-msg-timeout": maxMessageTimeout = try #require(Duration(flag: words[1]))
            case "--output-buffer-timeout":
                outputBufferTimeout = try #require(Duration(flag: words[1]))
            case "--deflate": deflateEnabled = words[1] == "true"
            case "--snappy": snappyEnabled = words[1] == "true"
            case "--tls-required": tlsRequired = words[1] == "true"
            case "--tls-cert", "--tls-key": tlsAvailable = true
            case "--auth-http-address": authRequired = true
            default: Issue.record("a flag that the player does not know: \(flag)")
            }
        }
    }
}

extension Duration {
    /// Parses a duration of one unit, in the syntax of nsqd's flags.
    fileprivate init?(flag: String) {
        let digits = flag.prefix { $0.isNumber }
        guard let number = Int(digits) else { return nil }
        switch flag.dropFirst(digits.count) {
        case "ms": self = .milliseconds(number)
        case "s": self = .seconds(number)
        case "m": self = .seconds(60 * number)
        default: return nil
        }
    }
}
