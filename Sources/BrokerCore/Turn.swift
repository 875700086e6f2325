import NSQWire

/// What one turn of the loop has touched: filled while commands are carried out, worked off once
/// at its end, so that the messages of a turn leave in one write per connection.
final class Turn {
    var now: Moment
    let options: BrokerOptions
    let slabs: SlabPool
    /// Where what is to outlive the broker is noted, if anything is.
    let ledger: (any Ledger)?
    /// Something was noted since the last write.
    private(set) var isNoted = false
    var alarms = DeadlineQueue<Alarm>()
    var events: [BrokerEvent] = []

    private(set) var sessions: [Session] = []
    private(set) var channels: [Channel] = []
    private(set) var topics: [Topic] = []
    private(set) var notingChannels: [Channel] = []
    /// The core is being told what happened in the past: nothing of it is noted again.
    var isRecovering = false
    private var lastSerial: UInt64 = 0
    private var random: SplitMix64

    enum Alarm {
        case session(SessionID)
        case channel(UInt64)
        case housekeeping
    }

    init(options: BrokerOptions, ledger: (any Ledger)?, now: Moment) {
        self.options = options
        slabs = SlabPool(maxSpareBytes: options.maxSpareBytes)
        self.ledger = ledger
        self.now = now
        random = SplitMix64(seed: options.seed)
    }

    /// The session has something to send, or is to be closed.
    func touch(_ session: Session) {
        guard !session.isTouched else { return }
        session.isTouched = true
        sessions.append(session)
    }

    /// The channel may have something to hand out.
    @inline(__always)
    func touch(_ channel: Channel) {
        guard !channel.isTouched else { return }
        channel.isTouched = true
        channels.append(channel)
    }

    /// The topic has messages that its channels do not know of yet.
    @inline(__always)
    func touch(_ topic: Topic) {
        guard !topic.isTouched else { return }
        topic.isTouched = true
        topics.append(topic)
    }

    /// The channel has gathered notes for the ledger.
    func takeNotes(of channel: Channel) {
        guard channel.notes.isEmpty else { return }
        notingChannels.append(channel)
    }

    /// Notes what became of topics, channels and messages.
    func note(_ change: LedgerChange) {
        guard let ledger, !isRecovering else { return }
        ledger.append(change)
        isNoted = true
    }

    func hasNotedMessages() { isNoted = true }

    func hasWrittenNotes() { isNoted = false }

    func takeNotingChannels() -> [Channel] {
        defer { notingChannels.removeAll(keepingCapacity: true) }
        return notingChannels
    }

    func takeSessions() -> [Session] {
        defer { sessions.removeAll(keepingCapacity: true) }
        for session in sessions { session.isTouched = false }
        return sessions
    }

    func takeChannels() -> [Channel] {
        defer { channels.removeAll(keepingCapacity: true) }
        for channel in channels { channel.isTouched = false }
        return channels
    }

    func takeTopics() -> [Topic] {
        defer { topics.removeAll(keepingCapacity: true) }
        for topic in topics { topic.isTouched = false }
        return topics
    }

    /// A segment of the past has this serial: new ones come later.
    func recover(serial: UInt64) { lastSerial = max(lastSerial, serial) }

    /// The serial of a new segment: later than all before, and no earlier than the wall clock.
    func nextSerial() -> UInt64 {
        lastSerial = max(lastSerial + 1, UInt64(clamping: now.wall) >> 16)
        return lastSerial
    }

    /// Where a new topic's ordinals begin: the clock, which is ahead of any number of messages. One of
    /// the past tells by its messages.
    var firstOrdinal: Int {
        ledger == nil || isRecovering ? 0 : Int(clamping: nextSerial() << 16)
    }

    /// A number from 0 to 99.
    func percent() -> Int { Int(random.next() % 100) }
}

/// Small and good enough to draw samples with, and the same for the same seed.
struct SplitMix64 {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}

/// What happened that others than the clients want to know: for the log, and for nsqlookupd.
package enum BrokerEvent: Equatable, Sendable {
    /// Messages of the topic could not be read back.
    case unreadable(TopicName, LedgerError)
    case topicCreated(TopicName)
    case topicDeleted(TopicName)
    case channelCreated(TopicName, ChannelName)
    case channelDeleted(TopicName, ChannelName)
    case topicPaused(TopicName, Bool)
    case channelPaused(TopicName, ChannelName, Bool)
    /// A client was refused something, fatally or not.
    case clientFailed(SessionID, ProtocolError)
    /// A client was hung up on without an error frame.
    case clientDropped(SessionID, reason: DropReason)
}

/// Why a connection ends without a word to the client.
package enum DropReason: String, Sendable {
    case missedHeartbeats = "no word for two heartbeat intervals"
    case stoppedReading = "took nothing for a heartbeat interval"
    case lineTooLong = "command line too long"
    case channelDeleted = "its channel was deleted"
    case brokenLayer = "its TLS or compression is broken"
}
