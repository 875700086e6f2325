import NSQWire

/// NSQ's rules: what clients say goes in, with the moment it came; what they are to be told comes
/// out into their sessions' outboxes. No I/O, no clock, no thread.
///
/// A turn of whoever drives it: any number of ``receive(_:from:at:)`` and other calls, then
/// ``endTurn(at:)``, which hands out messages and names the sessions that have something to send.
package final class Broker {
    package let options: BrokerOptions
    package let startedAt: Moment
    let turn: Turn

    private(set) var topics: [TopicName: Topic] = [:]
    var publishings = Publishings()
    private var channelsByNumber: [UInt64: Channel] = [:]
    private var sessions: [SessionID: Session] = [:]
    private var lastSession: SessionID = 0
    private var lastChannel: UInt64 = 0
    private var isHousekeepingSet = false
    private var nextSweep: Int64 = 0
    private var nextIdleNote: Int64 = 0

    /// Nobody may publish any more: the broker is about to stop.
    package private(set) var isStopping = false

    /// A topic that comes into being keeps its messages until ``startTopic(_:with:at:)``: others
    /// may know of channels that are to get them, too.
    package var holdsNewTopics = false

    /// How often quiet topics are looked after.
    static let sweepInterval = Duration.seconds(5)
    /// Memory that nobody needed for so long, or for twice as long, goes back to the system: late
    /// enough that the next burst finds it warm.
    static let idleInterval = Duration.seconds(30)
    /// The pause between two portions of what is given back.
    static let givingBackInterval = Duration.milliseconds(20)

    /// - Parameter ledger: where what is to outlive the broker is noted; without one nothing is.
    package init(
        options: BrokerOptions = BrokerOptions(), ledger: (any Ledger)? = nil, at now: Moment
    ) {
        self.options = options
        startedAt = now
        turn = Turn(options: options, ledger: ledger, now: now)
    }

    deinit {
        // A session and its channel know each other until the session leaves, and by way of the
        // topic published to once more.
        for session in sessions.values {
            session.channel = nil
            session.lastTopic = nil
        }
    }

    // MARK: Connections

    /// A client has connected.
    ///
    /// - Parameters:
    ///   - address: where it comes from, with its port.
    ///   - host: the same without the port: what it is called until it says otherwise.
    package func connect(from address: String, host: String, at now: Moment) -> Session {
        lastSession += 1
        let session = Session(
            id: lastSession, address: address, host: host, options: options, now: now)
        sessions[session.id] = session
        return session
    }

    /// A client has gone; what it had not finished goes to others.
    package func disconnect(_ session: Session, at now: Moment) {
        turn.now = now
        session.phase = .ended
        session.lastTopic = nil
        guard sessions.removeValue(forKey: session.id) != nil, let channel = session.channel
        else { return }
        channel.removeConsumer(session, turn)
        if channel.name.isEphemeral, channel.consumerCount == 0, !channel.isDeleted {
            delete(channel)
        }
    }

    /// Takes what a client sent, as far as it makes whole commands.
    ///
    /// - Returns: how many bytes were taken. The others are to be handed over again, with what
    ///   comes behind them, once there are ``Session/neededBytes``.
    package func receive(_ bytes: Bytes, from session: Session, at now: Moment) -> Int {
        turn.now = now
        var offset = 0
        session.neededBytes = 0
        while !session.isEnded, !session.isWaiting,
            takeOne(bytes, at: &offset, from: session)
        {}
        return session.isEnded ? bytes.count : offset
    }

    /// Takes one command, or a run of those that come in runs.
    ///
    /// - Returns: `false` if there is no whole one.
    private func takeOne(_ bytes: Bytes, at offset: inout Int, from session: Session) -> Bool {
        guard session.phase != .greeting else { return greet(bytes, at: &offset, session) }
        if let channel = session.channel,
            channel.finishRun(bytes, at: &offset, by: session, turn) > 0
        {
            session.lastHeardAt = turn.now.monotonic
        }
        var end = offset
        switch CommandLine.next(in: bytes, at: &end) {
        case .incomplete: return false
        case .tooLong:
            drop(session, .lineTooLong)
            return true
        case .line(let line):
            session.lastHeardAt = turn.now.monotonic
            return carryOut(line, bytes, &offset, end, session)
        }
    }

    private func greet(_ bytes: Bytes, at offset: inout Int, _ session: Session) -> Bool {
        guard bytes.count >= Command.magicBytes else { return false }
        guard bytes.prefix(Command.magicBytes).elementsEqual(Command.magic.bytes) else {
            fail(session, ProtocolError(bare: .badProtocol))
            return true
        }
        offset = Command.magicBytes
        session.phase = .initial
        session.lastHeardAt = turn.now.monotonic
        startHeartbeats(of: session)
        return true
    }

    private func carryOut(
        _ line: CommandLine, _ bytes: Bytes, _ offset: inout Int, _ end: Int, _ session: Session
    ) -> Bool {
        do throws(ProtocolError) {
            try session.permit(line)
            var body = BodyReader(bytes: bytes, commandStart: offset, offset: end)
            guard try carryOut(line, &body, session) else {
                session.neededBytes = body.neededBytes
                return false
            }
            session.checkedBatch = nil
            offset = body.offset
        } catch {
            fail(session, error)
            offset = end
        }
        return true
    }

    /// Tells the client what is wrong; if it is fatal, hangs up on it afterwards.
    func fail(_ session: Session, _ error: ProtocolError) {
        var frame: [UInt8] = []
        Frame.append(.error, error.data, to: &frame)
        session.say(frame)
        if error.isFatal { session.phase = .ended }
        turn.events.append(.clientFailed(session.id, error))
        turn.touch(session)
    }

    /// Hangs up without a word.
    func drop(_ session: Session, _ reason: DropReason) {
        session.phase = .ended
        turn.events.append(.clientDropped(session.id, reason: reason))
        turn.touch(session)
    }

    /// Answers with `data` in a frame of its own.
    func respond(_ session: Session, _ data: some Collection<UInt8>) {
        var frame: [UInt8] = []
        Frame.append(.response, data, to: &frame)
        session.say(frame)
        turn.touch(session)
    }

    // MARK: Time

    /// When ``tick(at:)`` has something to do next, on the monotonic clock.
    package var nextDeadline: Int64? { turn.alarms.nextDue }

    /// Does what is due: heartbeats, timeouts, deferred messages, housekeeping.
    package func tick(at now: Moment) {
        turn.now = now
        while let alarm = turn.alarms.popDue(at: now.monotonic) {
            switch alarm {
            case .session(let id): lookAfter(session: id)
            case .channel(let number): channelsByNumber[number]?.alarmWentOff(turn)
            case .housekeeping: keepHouse()
            }
        }
    }

    private func lookAfter(session id: SessionID) {
        guard let session = sessions[id] else { return }
        session.openAlarms.goOff()
        guard session.nextAlarm != nil else { return }
        let now = turn.now.monotonic
        if let reason = session.reasonToDrop(at: now) { return drop(session, reason) }
        if session.nextHeartbeatAt <= now {
            respond(session, Frame.heartbeat.bytes)
            session.nextHeartbeatAt = now + session.heartbeatInterval
        }
        setAlarm(of: session)
    }

    /// Begins to send heartbeats, or begins anew with another interval.
    func startHeartbeats(of session: Session) {
        session.nextHeartbeatAt = turn.now.monotonic + session.heartbeatInterval
        setAlarm(of: session)
    }

    private func setAlarm(of session: Session) {
        guard let due = session.nextAlarm, session.openAlarms.add(due) else { return }
        turn.alarms.insert(.session(session.id), due: due)
    }

    private func keepHouse() {
        isHousekeepingSet = false
        let now = turn.now.monotonic
        if now >= nextSweep {
            for topic in topics.values { topic.sweep(turn) }
            nextSweep = now + Self.sweepInterval.nanoseconds
        }
        if now >= nextIdleNote {
            turn.slabs.noteIdle()
            nextIdleNote = now + Self.idleInterval.nanoseconds
        }
        let hasMemory = turn.slabs.giveBackSome()
        let hasMoved = moveSegment()
        setHousekeeping(
            after: hasMemory || hasMoved ? Self.givingBackInterval : Self.sweepInterval)
    }

    /// As long as there is memory in use or kept, there is a house to keep.
    private func setHousekeeping(after delay: Duration = sweepInterval) {
        guard !isHousekeepingSet, turn.ledger != nil || !turn.slabs.isEmpty else { return }
        isHousekeepingSet = true
        turn.alarms.insert(.housekeeping, due: turn.now.monotonic + delay.nanoseconds)
    }

    // MARK: The end of a turn

    /// Hands out what there is.
    ///
    /// - Returns: the sessions that have something to send, or that are to be hung up on.
    package func endTurn(at now: Moment) -> [Session] {
        turn.now = now
        writeNotes()
        handOverAll()
        for channel in turn.takeChannels() { channel.handOut(turn) }
        writeNotes()
        setHousekeeping()
        return turn.takeSessions()
    }

    private func handOverAll() {
        for topic in turn.takeTopics() { topic.handOver(turn) }
    }

    /// What happened since the last call.
    package func takeEvents() -> [BrokerEvent] {
        guard !turn.events.isEmpty else { return [] }
        defer { turn.events.removeAll(keepingCapacity: true) }
        return turn.events
    }

    /// The session's outbox has been emptied: its channel may have more for it.
    package func hasRoomAgain(_ session: Session) {
        guard session.isHeldBack, let channel = session.channel else { return }
        session.isHeldBack = false
        turn.touch(channel)
    }

    /// No message is taken any more.
    package func stop() { isStopping = true }

    /// Bytes that queued messages take, and bytes kept for others.
    package var memoryBytes: (used: Int, spare: Int) {
        (turn.slabs.usedBytes, turn.slabs.spareBytes)
    }

    /// Every connection there is.
    var allSessions: some Collection<Session> { sessions.values }

    // MARK: Topics and channels

    /// The topic of this name, which comes into being if there is none.
    func topic(_ name: TopicName) -> Topic {
        if let topic = topics[name] { return topic }
        let topic = Topic(name: name, ledger: turn.ledger, firstOrdinal: turn.firstOrdinal)
        topic.awaitsChannels = holdsNewTopics
        topics[name] = topic
        if topic.isNoted { turn.note(.topicCreated(name)) }
        if topic.isNoted, topic.awaitsChannels { turn.note(.topicHeld(name)) }
        turn.events.append(.topicCreated(name))
        return topic
    }

    /// The channel of this name, which comes into being if there is none.
    func channel(_ name: ChannelName, of topic: Topic) -> Channel {
        if let channel = topic.channels.first(where: { $0.name == name }) { return channel }
        // What came before it is not for it, unless the topic still has it.
        writeNotes()
        lastChannel += 1
        let channel = Channel(name: name, number: lastChannel, topic: topic)
        if !options.latencyPercentiles.isEmpty {
            channel.latency = LatencyWindow(
                length: options.latencyWindow, at: turn.now.monotonic)
        }
        channelsByNumber[lastChannel] = channel
        topic.addChannel(channel, turn)
        if channel.isNoted { turn.note(.channelCreated(topic.name, name)) }
        turn.events.append(.channelCreated(topic.name, name))
        return channel
    }

    /// Deletes a channel: its consumers are hung up on, its messages gone. An ephemeral topic goes
    /// with its last channel.
    func delete(_ channel: Channel) {
        let topic = channel.topic
        writeNotes()
        topic.handOver(turn)
        topic.removeChannel(channel)
        channelsByNumber[channel.number] = nil
        for case let session? in channel.consumers { drop(session, .channelDeleted) }
        if channel.isNoted { turn.note(.channelDeleted(topic.name, channel.name)) }
        turn.events.append(.channelDeleted(topic.name, channel.name))
        if topic.name.isEphemeral, topic.channels.isEmpty { delete(topic) }
    }

    /// Deletes a topic and its channels.
    func delete(_ topic: Topic) {
        guard topics.removeValue(forKey: topic.name) != nil else { return }
        for channel in topic.channels { delete(channel) }
        topic.delete()
        if topic.isNoted { turn.note(.topicDeleted(topic.name)) }
        turn.events.append(.topicDeleted(topic.name))
    }
}
