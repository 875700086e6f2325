import DequeModule
import NSQWire

/// Names one connection for as long as the broker runs.
package typealias SessionID = UInt64

/// One connection: greeted → identified → subscribed → closing.
///
/// It keeps what the client asked for and what is to be sent to it. Which commands its state
/// allows is said here; what they do, in the broker.
package final class Session {
    enum Phase {
        /// The magic has not come yet.
        case greeting
        case initial
        case subscribed
        /// After CLS: in-flight messages may be finished, none are added.
        case closing
        /// To be hung up on once what is in the outbox is sent.
        case ended
    }

    package let id: SessionID
    package let address: String
    let host: String
    let connectedAt: Moment

    var phase = Phase.greeting
    var isTouched = false

    /// What is to be sent.
    package var outbox = Outbox()

    /// What it is still to be told, in order: of its publishes once they are in the ledger, and
    /// what comes behind those.
    var answers = Deque<Answer>()

    /// Bytes that have left the outbox and not yet the machine; since when is in `blockedSince`.
    package private(set) var unsentBytes = 0
    private(set) var blockedSince: Int64?

    /// How many bytes, counted from the first that was not consumed, must be there before it is
    /// worth calling ``Broker/receive(_:from:at:)`` again.
    package var neededBytes = 0

    /// How far the sizes inside an MPUB that is still coming in have been checked.
    var checkedBatch: CheckedBatch?

    // What IDENTIFY settles; durations in nanoseconds.
    var clientID: String
    var hostname: String
    var userAgent = ""
    var topologyRegion = ""
    var topologyZone = ""
    /// 0: none.
    var heartbeatInterval: Int64
    var messageTimeout: Int64
    var sampleRate = 0
    var outputBufferBytes = Limits.outputBufferBytes
    var outputBufferTimeout: Int64

    /// What IDENTIFY has settled and the edge has yet to lay between the client and the core. No
    /// bytes are taken before that, and nothing is said.
    package internal(set) var pendingUpgrade: Upgrade?
    var tls: TLSSummary?
    var compression: Upgrade.Compression?
    /// No command but IDENTIFY is allowed before there is TLS.
    var needsTLS: Bool

    // What AUTH has settled.
    var secret = ""
    var authorization: Authorization?
    /// When the authorization server is to be asked again, on the monotonic clock.
    var authorizedUntil: Int64 = 0
    /// The topic it was last found to be allowed to publish to: patterns are slow.
    var lastPermittedTopic: TopicName?

    /// What the edge is to ask the authorization server; the answer goes to
    /// ``Broker/hasAnswer(_:for:at:)``. No bytes are taken before that.
    package internal(set) var question: AuthorizationQuestion?

    // Heartbeats.
    var lastHeardAt: Int64
    var nextHeartbeatAt: Int64 = 0
    var openAlarms = OpenAlarms()

    // The subscription.
    var channel: Channel?
    var consumerSlot: Int32 = -1
    var readyCount = 0
    var inFlightCount = 0

    /// It would have been given more if less were on its way to it.
    var isHeldBack = false

    var deliveredCount = 0
    var finishCount = 0
    var requeueCount = 0

    /// The topic published to last: clients rarely change it from one PUB to the next. How often,
    /// is counted here until they do.
    var lastTopic: Topic? {
        didSet {
            guard lastTopic !== oldValue, let oldValue, lastTopicCount > 0 else { return }
            earlierCounts[oldValue.name, default: 0] += lastTopicCount
            lastTopicCount = 0
        }
    }
    private var lastTopicCount = 0
    private var earlierCounts: [TopicName: Int] = [:]

    func countPublished(_ count: Int) { lastTopicCount += count }

    /// How many messages it has published, by topic.
    var publishCounts: [TopicName: Int] {
        var counts = earlierCounts
        if let lastTopic, lastTopicCount > 0 {
            counts[lastTopic.name, default: 0] += lastTopicCount
        }
        return counts
    }

    init(id: SessionID, address: String, host: String, options: BrokerOptions, now: Moment) {
        self.id = id
        self.address = address
        self.host = host
        connectedAt = now
        clientID = host
        hostname = host
        heartbeatInterval = options.heartbeatInterval.nanoseconds
        messageTimeout = options.messageTimeout.nanoseconds
        outputBufferTimeout = options.outputBufferTimeout.nanoseconds
        needsTLS = options.tlsRequired
        lastHeardAt = now.monotonic
    }

    /// Nothing is taken from it any more.
    package var isEnded: Bool { phase == .ended }

    /// It is not to be hung up on yet: there are answers to come.
    package var awaitsAnswers: Bool { !answers.isEmpty }

    /// Takes nothing until the edge has done its part.
    var isWaiting: Bool { pendingUpgrade != nil || question != nil }

    /// Nothing reaches it any more, so it is given no message. What it said before it went may
    /// still be coming in.
    package var isUnreachable = false

    /// What has not reached the client yet.
    var backlogBytes: Int { outbox.byteCount + unsentBytes }

    /// Do not read from it: it does not take its answers.
    package func isCongested(limit: Int) -> Bool { backlogBytes >= limit }

    /// How many more messages it wants and can take; notes if the latter is what stops it.
    func room(unsentLimit: Int) -> Int {
        guard phase == .subscribed, !isUnreachable, readyCount > inFlightCount else { return 0 }
        isHeldBack = backlogBytes >= unsentLimit
        return isHeldBack ? 0 : readyCount - inFlightCount
    }

    /// The edge could not send everything at once: `bytes` are on their way since `now`, 0 of them
    /// when the way is free again.
    package func sending(_ bytes: Int, at now: Int64) {
        unsentBytes = bytes
        blockedSince = bytes == 0 ? nil : now
    }

    /// - Throws: `E_INVALID` if the state of the connection does not allow the command.
    func permit(_ line: CommandLine) throws(ProtocolError) {
        if needsTLS, line.verb != .identify {
            throw ProtocolError(
                .invalid,
                Array("cannot ".utf8) + line.name + " in current state (TLS required)".utf8)
        }
        if let verb = line.verb { try permit(verb) }
    }

    private func permit(_ verb: Verb) throws(ProtocolError) {
        let isPermitted =
            switch verb {
            case .identify, .authenticate, .subscribe: phase == .initial
            case .ready, .finish, .requeue, .touch: phase == .subscribed || phase == .closing
            case .close: phase == .subscribed
            case .nop, .publish, .multiPublish, .deferredPublish: true
            }
        guard isPermitted else {
            throw ProtocolError(.invalid, "cannot \(verb.rawValue) in current state")
        }
        if verb == .subscribe, heartbeatInterval == 0 {
            throw ProtocolError(.invalid, "cannot SUB with heartbeats disabled")
        }
    }

    // MARK: Heartbeats

    /// When something about heartbeats is to be done or checked next.
    var nextAlarm: Int64? {
        guard heartbeatInterval > 0, phase != .greeting, phase != .ended, pendingUpgrade == nil
        else { return nil }
        guard question == nil else { return nextHeartbeatAt }
        return min(nextHeartbeatAt, lastHeardAt + 2 * heartbeatInterval)
    }

    /// Why the client is to be given up at `now`, if it is.
    func reasonToDrop(at now: Int64) -> DropReason? {
        guard heartbeatInterval > 0 else { return nil }
        // While an answer is waited for, the client is not listened to.
        if question == nil, now - lastHeardAt >= 2 * heartbeatInterval { return .missedHeartbeats }
        if let blockedSince, now - blockedSince >= heartbeatInterval { return .stoppedReading }
        return nil
    }
}

/// An MPUB whose sizes have been checked up to a point, so that the rest of a large body does not
/// have them checked from its start with each piece that arrives.
struct CheckedBatch {
    /// Counted from the first byte of the command.
    var offset: Int
    var index: Int
}
