import DequeModule
import NSQWire

/// The protocol of one connection to an nsqlookupd, without I/O and clock. The commands are
/// IDENTIFY, then a registration of each topic and channel, then each change.
///
/// At most one command waits for its response; later commands are queued.
struct LookupClientSession {
    /// A response that ``LookupClientConnection`` has to handle.
    enum Outcome: Equatable {
        /// nsqlookupd has responded to IDENTIFY with its addresses.
        case identified(LookupResponse)
        /// The response was not `OK`.
        case refused(LookupCommand, response: String)
    }

    /// The reason to close the connection.
    struct Failure: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    private var queue: Deque<LookupCommand>
    /// The command whose response is pending.
    private(set) var pendingCommand: LookupCommand?
    private var isIdentified = false
    private var received: [UInt8] = []
    private var queueLimit = maxQueuedChanges

    /// The maximum number of queued changes. With more changes, it is cheaper to reconnect and to
    /// register everything again.
    static let maxQueuedChanges = 10_000
    /// The maximum length of a response in bytes. The longest response of nsqlookupd is far
    /// shorter.
    static let maxAnswerBytes = 1 << 20

    init(as identity: LookupIdentity) { queue = [.identify(identity)] }

    /// Returns the next command to send; `nil` if the queue is empty or a response is pending.
    mutating func nextCommand() -> [UInt8]? {
        guard pendingCommand == nil, let command = queue.popFirst() else { return nil }
        pendingCommand = command
        if case .identify = command { return Array(LookupCommand.magic.bytes) + command.bytes }
        return command.bytes
    }

    /// Queues a change or a PING. A change before the response to IDENTIFY is ignored, because the
    /// response triggers the registration of all topics and channels.
    mutating func enqueue(_ command: LookupCommand) throws(Failure) {
        guard isIdentified else { return }
        guard queue.count < queueLimit else {
            throw Failure(description: "more than \(Self.maxQueuedChanges) changes are queued")
        }
        queue.append(command)
    }

    /// Processes received bytes.
    ///
    /// - Parameter registrations: returns a registration for each topic and channel. It is called
    ///   after the response to IDENTIFY.
    mutating func receive(
        _ bytes: some Collection<UInt8>, registrations: () -> [LookupCommand]
    ) throws(Failure) -> [Outcome] {
        received += bytes
        var outcomes: [Outcome] = []
        while let response = try nextResponse() {
            if let outcome = try process(response, registrations) { outcomes.append(outcome) }
        }
        return outcomes
    }

    private mutating func nextResponse() throws(Failure) -> [UInt8]? {
        guard received.count >= 4 else { return nil }
        let size = received.withUnsafeBytes { Int($0.bigEndian(at: 0, as: Int32.self)) }
        guard (0...Self.maxAnswerBytes).contains(size) else {
            throw Failure(description: "response of \(size) bytes")
        }
        guard received.count >= 4 + size else { return nil }
        defer { received.removeFirst(4 + size) }
        return Array(received[4..<4 + size])
    }

    private mutating func process(
        _ response: [UInt8], _ registrations: () -> [LookupCommand]
    ) throws(Failure) -> Outcome? {
        guard let command = pendingCommand else {
            throw Failure(description: "response without a command")
        }
        pendingCommand = nil
        if case .identify = command {
            guard let response = response.withUnsafeBytes({ LookupResponse(parsing: $0) }) else {
                throw Failure(description: "IDENTIFY was answered \(Self.text(response))")
            }
            isIdentified = true
            queue.append(contentsOf: registrations())
            queueLimit = queue.count + Self.maxQueuedChanges
            return .identified(response)
        }
        let text = Self.text(response)
        return text == "OK" ? nil : .refused(command, response: text)
    }

    private static func text(_ response: [UInt8]) -> String {
        String(decoding: response.prefix(200), as: UTF8.self)
    }
}
