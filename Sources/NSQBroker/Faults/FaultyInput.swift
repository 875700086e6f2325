import BrokerCore
import NSQWire
import TallyBasics

/// Passes the commands of clients to the broker one by one, and replaces the commands that a fault
/// concerns.
final class FaultyInput {
    let faults: BrokerFaults
    private let broker: Broker
    /// The messages that a consumer has finished and that are delivered a second time.
    private var duplicated: Set<MessageID> = []

    init(_ faults: BrokerFaults, of broker: Broker) {
        self.faults = faults
        self.broker = broker
    }

    /// Executes the complete commands that a client has sent, as ``Broker/receive(_:from:at:)`` does.
    ///
    /// - Returns: the number of consumed bytes.
    func receive(_ bytes: Bytes, from session: Session, at now: Timestamp) -> Int {
        guard !faults.isEmpty else {
            duplicated = []
            return broker.receive(bytes, from: session, at: now)
        }
        var offset = 0
        while offset < bytes.count, let command = ReceivedCommand(bytes, at: offset) {
            let consumed = execute(command, from: session, at: now)
            offset += consumed
            guard !session.isEnded else { return bytes.count }
            guard consumed == command.bytes.count else { break }
        }
        guard offset < bytes.count else { return offset }
        // The broker determines how many bytes an incomplete command needs.
        return offset + broker.receive(bytes.view(offset..<bytes.count), from: session, at: now)
    }

    private func execute(
        _ command: ReceivedCommand, from session: Session, at now: Timestamp
    ) -> Int {
        switch command.kind {
        case .publish(let verb, let topic):
            guard faults.refusesPublish(of: { command.messages }, to: topic) else { break }
            broker.refusePublish(verb, from: session, at: now)
            return command.bytes.count
        case .finish(let id):
            guard duplicates(id, of: session) else { break }
            var requeue: [UInt8] = []
            Command.requeue(id, afterMilliseconds: 0).append(to: &requeue)
            _ = requeue.withUnsafeBytes { broker.receive($0, from: session, at: now) }
            return command.bytes.count
        case .other: break
        }
        return broker.receive(command.bytes, from: session, at: now)
    }

    /// Returns `true` if the message must be delivered again. Each message is delivered a second time
    /// at most once.
    private func duplicates(_ id: MessageID, of session: Session) -> Bool {
        guard let topic = session.subscribedTopic, duplicated.remove(id) == nil,
            faults.duplicatesDelivery(of: topic.text)
        else { return false }
        duplicated.insert(id)
        return true
    }
}

/// One complete command in the bytes of a client.
private struct ReceivedCommand {
    enum Kind {
        case publish(Verb, topic: String)
        case finish(MessageID)
        case other
    }

    let kind: Kind
    /// The command line and the body.
    let bytes: Bytes
    private let body: Bytes

    /// Reads the command at `offset`; `nil` if it is incomplete.
    init?(_ all: Bytes, at offset: Int) {
        // The protocol magic is not a command line, because it has no line end.
        let rest = all.view(offset..<all.count)
        guard !rest.starts(with: Command.magic.bytes) else {
            self.init(.other, rest.view(0..<Command.magicBytes), bodyStart: Command.magicBytes)
            return
        }
        var end = 0
        guard case .line(let line) = CommandLine.next(in: rest, at: &end) else { return nil }
        let bodyStart = end
        if line.verb?.hasBody == true {
            guard rest.count >= end + 4 else { return nil }
            let size = Int(rest.bigEndian(at: end, as: Int32.self))
            guard size >= 0, rest.count - end - 4 >= size else { return nil }
            end += 4 + size
        }
        self.init(Kind(line), rest.view(0..<end), bodyStart: bodyStart)
    }

    private init(_ kind: Kind, _ bytes: Bytes, bodyStart: Int) {
        self.kind = kind
        self.bytes = bytes
        body = bytes.view(bodyStart..<bytes.count)
    }

    /// Copies of the bodies of a publish.
    var messages: [[UInt8]] {
        guard case .publish(.multiPublish, _) = kind else { return [Array(body.dropFirst(4))] }
        var messages: [[UInt8]] = []
        // The size of the batch and the number of messages precede the first message.
        var offset = 8
        while offset + 4 <= body.count {
            let size = Int(body.bigEndian(at: offset, as: Int32.self))
            guard size >= 0, offset + 4 + size <= body.count else { break }
            messages.append(Array(body.view(offset + 4..<offset + 4 + size)))
            offset += 4 + size
        }
        return messages
    }
}

extension ReceivedCommand.Kind {
    fileprivate init(_ line: CommandLine) {
        // An invalid command is left to the broker.
        switch try? Command(parsing: line) {
        case .publish(let topic): self = .publish(.publish, topic: topic.text)
        case .multiPublish(let topic): self = .publish(.multiPublish, topic: topic.text)
        case .deferredPublish(let topic, _): self = .publish(.deferredPublish, topic: topic.text)
        case .finish(let id): self = .finish(id)
        default: self = .other
        }
    }
}
