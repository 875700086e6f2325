import Foundation
import NSQWire
import TestKit

/// The recorded conversations with nsqd, see `Fixtures/wire/README.md`.
func recordedConversations() throws -> [WireConversation] {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return try WireConversation.all(
        in: tests.deletingLastPathComponent().appending(path: "Fixtures/wire"))
}

/// The conversation recorded under `name`.
func recorded(_ name: String) throws -> WireConversation {
    guard let found = try recordedConversations().first(where: { $0.name == name }) else {
        throw CocoaError(.fileNoSuchFile)
    }
    return found
}

/// All bytes that one client sent and received in a conversation.
struct Transcript: CustomStringConvertible {
    let conversation: WireConversation
    let client: String
    private(set) var sent: [UInt8] = []
    private(set) var frames: [(kind: WireConversation.FrameKind, text: WireText)] = []
    private(set) var brokerCloses = false
    private(set) var clientEnds = false
    private(set) var timePasses = false

    var description: String {
        client.isEmpty ? conversation.name : "\(conversation.name) \(client)"
    }

    /// The error that ended the connection, if one did.
    var fatalError: String? {
        guard brokerCloses, let last = frames.last, last.kind == .error else { return nil }
        return String(decoding: last.text.bytes(), as: UTF8.self)
    }

    init(of conversation: WireConversation, _ client: String) {
        self.conversation = conversation
        self.client = client
        for step in conversation.steps {
            if case .wait = step.action { timePasses = true }
            guard step.client == client else { continue }
            switch step.action {
            case .send(let text), .sendByteByByte(let text): sent += text.bytes()
            case .expect(let kind, let text): frames.append((kind, text))
            case .end: clientEnds = true
            case .expectClose: brokerCloses = true
            case .expectNothing, .wait: break
            }
        }
    }

    static func all() throws -> [Transcript] {
        try recordedConversations().flatMap { conversation in
            conversation.clients.map { Transcript(of: conversation, $0) }
        }
    }
}

extension Command {
    /// Parses the line without its newline as a broker does.
    static func parse(_ line: String) throws(ProtocolError) -> Command {
        try parse(Array(line.utf8))
    }

    static func parse(_ line: [UInt8]) throws(ProtocolError) -> Command {
        let outcome = line.withUnsafeBytes { bytes -> Result<Command, ProtocolError> in
            do throws(ProtocolError) {
                return .success(try Command(parsing: CommandLine(bytes)))
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }

    /// The error text for `line`; `nil` if it is a valid command.
    static func refusal(of line: String) -> String? { refusal(of: Array(line.utf8)) }

    static func refusal(of line: [UInt8]) -> String? {
        do throws(ProtocolError) {
            _ = try parse(line)
            return nil
        } catch {
            return error.description
        }
    }

    /// The command's written form.
    var line: [UInt8] {
        var out: [UInt8] = []
        append(to: &out)
        return out
    }
}

extension Identify {
    static func parse(_ json: String) throws(ProtocolError) -> Identify {
        try parse(Array(json.utf8))
    }

    static func parse(_ json: [UInt8]) throws(ProtocolError) -> Identify {
        let outcome = json.withUnsafeBytes { bytes -> Result<Identify, ProtocolError> in
            do throws(ProtocolError) {
                return .success(try Identify(parsing: bytes))
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }
}

func topic(_ name: String) -> TopicName { TopicName(name)! }
func channel(_ name: String) -> ChannelName { ChannelName(name)! }

func messageID(_ text: String) -> MessageID {
    precondition(text.utf8.count == MessageID.byteCount)
    return Array(text.utf8).withUnsafeBytes { MessageID(readingFrom: $0.baseAddress!) }
}

/// A copy of a frame's type and data.
struct OwnedFrame: Equatable {
    let kind: Frame.Kind
    let data: [UInt8]
}

extension FrameDecoder {
    /// Returns the frames that `chunk` completes.
    mutating func feed(_ chunk: some Collection<UInt8>) throws(FrameError) -> [OwnedFrame] {
        var frames: [OwnedFrame] = []
        try feed(chunk) { frames.append(OwnedFrame(kind: $0.kind, data: Array($0.data))) }
        return frames
    }
}
