import BrokerCore
import NSQWire
import TallyBasics

/// A client and its network. Sent bytes arrive with delays and in pieces, and may end within a
/// command. The client may stop reading.
final class SimulatedClient {
    enum Role {
        case publisher
        case consumer(TopicName, ChannelName)
    }

    /// The effect of a command once the broker has processed it.
    enum Effect {
        case nothing
        case publish(TopicName, [Int], delay: Int64)
        case subscribe
        case ready(Int)
        case finish(Int)
        case requeue(Int, delay: Int64)
        case close
    }

    let session: Session
    let role: Role
    var isReading = true
    /// `true` if the client has left bytes unread, so the next bytes that it reads may be old.
    var isBehind = false

    /// Bytes that were sent and have not arrived.
    private(set) var inTransit: [UInt8] = []
    /// Bytes that have arrived and are not processed.
    private var received: [UInt8] = []
    private var sentBytes = 0
    private var takenBytes = 0
    private var effects: [(end: Int, effect: Effect)] = []
    private var decoder = FrameDecoder()

    /// The messages of each publish without a response.
    var unanswered: [[Int]] = []
    /// The received messages by number, with the time until which each is certainly in flight.
    var held: [Int: (id: MessageID, until: Int64)] = [:]
    var numbers: [String: Int] = [:]
    var hasSubscribed = false
    var ready = 0
    /// The maximum number of messages in flight: the RDY count, or more after it was lowered.
    var allowance = 0
    var hasSentClose = false
    /// `true` once the broker has processed CLS. From then on it ignores RDY.
    var isClosing = false
    /// The FINs and REQs of this iteration.
    var finishes = Responses()
    var requeues = Responses()

    struct Responses {
        var sent: [(number: Int, due: Int64)] = []
        var failed: [Int: Int] = [:]

        /// The commands that succeeded.
        func successes() -> [(number: Int, due: Int64)] {
            var failed = failed
            // Repeated commands fail, because the message is no longer in flight.
            return sent.reversed().filter { attempt in
                guard let count = failed[attempt.number], count > 0 else { return true }
                failed[attempt.number] = count - 1
                return false
            }
        }
    }

    init(_ session: Session, _ role: Role) {
        self.session = session
        self.role = role
    }

    // MARK: Sending

    func send(_ bytes: [UInt8], _ effect: Effect = .nothing) {
        inTransit += bytes
        sentBytes += bytes.count
        effects.append((sentBytes, effect))
    }

    func send(_ command: Command, _ effect: Effect = .nothing) {
        var bytes: [UInt8] = []
        command.append(to: &bytes)
        send(bytes, effect)
    }

    /// Transmits up to `count` bytes to the broker.
    ///
    /// - Returns: the effects of the processed commands.
    func transmit(_ count: Int, at broker: Broker, _ now: Timestamp) -> [Effect] {
        guard !session.isEnded else { return [] }
        received += inTransit.prefix(count)
        inTransit.removeFirst(min(count, inTransit.count))
        guard !received.isEmpty, received.count >= session.neededBytes else { return [] }
        let taken = received.withUnsafeBytes { broker.receive($0, from: session, at: now) }
        received.removeFirst(taken)
        takenBytes += taken
        let count = effects.prefix { $0.end <= takenBytes }.count
        defer { effects.removeFirst(count) }
        return effects[..<count].map(\.effect)
    }

    // MARK: Receiving

    /// Reads all frames.
    func read(_ take: (ReceivedFrame) -> Void) throws(FrameError) {
        var bytes: [UInt8] = []
        session.outbox.drain { bytes += $0 }
        try decoder.feed(bytes, take)
    }

    /// The number of the message with this ID.
    func number(of id: Substring) -> Int { numbers[String(id)] ?? 0 }

    func hasSubscribed(to topic: TopicName, _ channel: ChannelName) -> Bool {
        guard hasSubscribed, case .consumer(topic, channel) = role else { return false }
        return true
    }

    /// The number of messages that are certainly in flight.
    func inFlight(at now: Int64) -> Int { held.values.count { $0.until > now } }
}
