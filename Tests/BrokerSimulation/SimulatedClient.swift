import BrokerCore
import NSQWire

/// A client and the network between it and the broker: what it says may be on its way for long, in
/// pieces, and end in the middle of a command; what it is told it may leave unread.
final class SimulatedClient {
    enum Role {
        case publisher
        case consumer(TopicName, ChannelName)
    }

    /// What a command means, once the broker has taken it.
    enum Meaning {
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
    /// Something was left unread: what comes next may be old.
    var isBehind = false

    /// Sent, and not with the broker yet.
    private(set) var onTheWay: [UInt8] = []
    /// With the broker, and not taken.
    private var arrived: [UInt8] = []
    private var sentBytes = 0
    private var takenBytes = 0
    private var meanings: [(end: Int, meaning: Meaning)] = []
    private var decoder = FrameDecoder()

    /// Publishes that are not answered yet.
    var unanswered: [[Int]] = []
    /// What a consumer has: the ID, and until when it is in flight for sure.
    var held: [Int: (id: MessageID, until: Int64)] = [:]
    var numbers: [String: Int] = [:]
    var hasSubscribed = false
    var ready = 0
    /// As many as it may have in flight: RDY, or more if it was lowered.
    var allowance = 0
    var isClosing = false
    /// FINs and REQs of this turn: how many, and how many failed.
    var finishes = Settlings()
    var requeues = Settlings()

    struct Settlings {
        var tried: [(number: Int, due: Int64)] = []
        var failed: [Int: Int] = [:]

        /// Those that succeeded.
        func successes() -> [(number: Int, due: Int64)] {
            var failed = failed
            // It is the later ones that fail: the message is not in flight any more.
            return tried.reversed().filter { attempt in
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

    // MARK: Out

    func say(_ bytes: [UInt8], _ meaning: Meaning = .nothing) {
        onTheWay += bytes
        sentBytes += bytes.count
        meanings.append((sentBytes, meaning))
    }

    func say(_ command: Command, _ meaning: Meaning = .nothing) {
        var bytes: [UInt8] = []
        command.append(to: &bytes)
        say(bytes, meaning)
    }

    /// Some of what it said arrives.
    ///
    /// - Returns: what the broker has taken by now.
    func arrive(_ count: Int, at broker: Broker, _ now: Moment) -> [Meaning] {
        guard !session.isEnded else { return [] }
        arrived += onTheWay.prefix(count)
        onTheWay.removeFirst(min(count, onTheWay.count))
        guard !arrived.isEmpty, arrived.count >= session.neededBytes else { return [] }
        let taken = arrived.withUnsafeBytes { broker.receive($0, from: session, at: now) }
        arrived.removeFirst(taken)
        takenBytes += taken
        let count = meanings.prefix { $0.end <= takenBytes }.count
        defer { meanings.removeFirst(count) }
        return meanings[..<count].map(\.meaning)
    }

    // MARK: In

    /// Reads all there is.
    func read(_ take: (ReceivedFrame) -> Void) throws(FrameError) {
        var bytes: [UInt8] = []
        session.outbox.drain { bytes += $0 }
        try decoder.feed(bytes, take)
    }

    /// The message with this ID.
    func number(of id: Substring) -> Int { numbers[String(id)] ?? 0 }

    func hasSubscribed(to topic: TopicName, _ channel: ChannelName) -> Bool {
        guard hasSubscribed, case .consumer(topic, channel) = role else { return false }
        return true
    }

    /// How many are in flight to it for sure.
    func inFlight(at now: Int64) -> Int { held.values.count { $0.until > now } }
}
