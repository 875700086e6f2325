import DequeModule
import NSQWire

/// What is said to one nsqlookupd on one connection: who we are, then all that there is, then what
/// changes. No I/O and no clock.
///
/// One command is under way at a time; the others wait.
struct LookupConversation {
    /// What an answer means for others.
    enum Outcome: Equatable {
        /// It has said where it is to be asked.
        case identified(LookupAnswer)
        /// nsqlookupd did not say `OK`.
        case refused(LookupCommand, answer: String)
    }

    struct Failure: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    private var waiting: Deque<LookupCommand>
    /// Sent, and not answered yet.
    private(set) var underWay: LookupCommand?
    private var isIdentified = false
    private var received: [UInt8] = []
    private var limit = maxWaiting

    /// Changes that an nsqlookupd which is behind has not been told of. Beyond that it is cheaper to
    /// begin anew, which tells it all there is at that time.
    static let maxWaiting = 10_000
    /// No answer of nsqlookupd's comes near it.
    static let maxAnswerBytes = 1 << 20

    init(as identity: LookupIdentity) { waiting = [.identify(identity)] }

    /// What to send now, if nothing is under way.
    mutating func next() -> [UInt8]? {
        guard underWay == nil, let command = waiting.popFirst() else { return nil }
        underWay = command
        if case .identify = command { return Array(LookupCommand.magic.bytes) + command.bytes }
        return command.bytes
    }

    /// Has a change told, or a PING sent. Before the answer to IDENTIFY there is no need to: all
    /// there is will be told then.
    mutating func say(_ command: LookupCommand) throws(Failure) {
        guard isIdentified else { return }
        guard waiting.count < limit else {
            throw Failure(description: "more than \(Self.maxWaiting) changes behind")
        }
        waiting.append(command)
    }

    /// Takes what came.
    ///
    /// - Parameter registrations: all that there is, asked for once nsqlookupd knows who we are.
    mutating func receive(
        _ bytes: some Collection<UInt8>, registrations: () -> [LookupCommand]
    ) throws(Failure) -> [Outcome] {
        received += bytes
        var outcomes: [Outcome] = []
        while let answer = try nextAnswer() {
            if let outcome = try take(answer, registrations) { outcomes.append(outcome) }
        }
        return outcomes
    }

    private mutating func nextAnswer() throws(Failure) -> [UInt8]? {
        guard received.count >= 4 else { return nil }
        let size = received.withUnsafeBytes { Int($0.bigEndian(at: 0, as: Int32.self)) }
        guard (0...Self.maxAnswerBytes).contains(size) else {
            throw Failure(description: "answer of \(size) bytes")
        }
        guard received.count >= 4 + size else { return nil }
        defer { received.removeFirst(4 + size) }
        return Array(received[4..<4 + size])
    }

    private mutating func take(
        _ answer: [UInt8], _ registrations: () -> [LookupCommand]
    ) throws(Failure) -> Outcome? {
        guard let command = underWay else { throw Failure(description: "answer to no command") }
        underWay = nil
        if case .identify = command {
            guard let answer = answer.withUnsafeBytes({ LookupAnswer(parsing: $0) }) else {
                throw Failure(description: "IDENTIFY was answered \(Self.text(answer))")
            }
            isIdentified = true
            waiting.append(contentsOf: registrations())
            limit = waiting.count + Self.maxWaiting
            return .identified(answer)
        }
        let text = Self.text(answer)
        return text == "OK" ? nil : .refused(command, answer: text)
    }

    private static func text(_ answer: [UInt8]) -> String {
        String(decoding: answer.prefix(200), as: UTF8.self)
    }
}
