import NSQWire
import TallyBasics

/// An implementation of NSQ's semantics. A broker executes the commands of clients and fills the
/// outboxes of their sessions. The broker has no I/O, clock or thread; the caller passes the time.
///
/// In each loop iteration, the caller makes any number of calls such as ``receive(_:from:at:)``,
/// and then calls ``endIteration(at:)``, which delivers messages and returns the sessions with data
/// to send.
package final class Broker {
    package let options: BrokerOptions
    /// The time at which the broker was started.
    package let startedAt: Timestamp
    let context: BrokerContext
    let pendingPublishes: PendingPublishes
    let pendingMoves = PendingMoves()
    let bulkOperations = BulkOperations()

    private(set) var topics: [TopicName: Topic] = [:]
    private var channelsByNumber: [UInt64: Channel] = [:]
    private var lastChannelNumber: UInt64 = 0
    private var sessions: [SessionID: Session] = [:]
    private var lastSessionID: SessionID = 0
    private var maintenance = MaintenanceSchedule()
    private var maintenancePass = MaintenancePass()

    /// The reason why the broker accepts no messages; `nil` if it accepts them.
    package private(set) var publishRefusal: PublishRefusal?

    /// `true` if new topics hold their messages until ``startTopic(_:with:at:)``, because the topic
    /// may have channels in other brokers that should receive the messages.
    package var holdsNewTopics = false

    /// Receives the topic and the body of each published message; `nil` outside of tests.
    var onPublish: ((TopicName, Bytes) -> Void)?

    /// Creates a broker.
    ///
    /// - Parameter messageLog: the log that stores durable topics and channels; `nil` stores all data
    ///   in memory only.
    package init(
        options: BrokerOptions = BrokerOptions(), messageLog: (any MessageLog)? = nil,
        at now: Timestamp
    ) {
        self.options = options
        startedAt = now
        context = BrokerContext(options: options, messageLog: messageLog, now: now)
        pendingPublishes = PendingPublishes(context)
    }

    deinit {
        // Breaks the reference cycles between sessions, channels, topics and the context.
        context.pending.removeAll()
        for session in sessions.values {
            session.unsubscribe()
            session.releaseTopic()
        }
    }

    // MARK: Connections

    /// All connected sessions.
    var allSessions: some Collection<Session> { sessions.values }

    /// The number of connected clients.
    package var connectionCount: Int { sessions.count }

    /// Creates the session of a client that has connected.
    ///
    /// - Parameters:
    ///   - address: the client's address, with its port.
    ///   - host: the client's address, without its port. The host is also the client's name until
    ///     IDENTIFY.
    package func connect(from address: String, host: String, at now: Timestamp) -> Session {
        lastSessionID += 1
        let session = Session(
            id: lastSessionID, address: address, host: host, options: options,
            context.memory, now: now)
        sessions[session.id] = session
        // The timer ends a client that never sends the protocol magic.
        scheduleHeartbeatTimer(of: session)
        return session
    }

    /// Ends the session of a client that has disconnected, and requeues the messages that were in
    /// flight to the client.
    package func disconnect(_ session: Session, at now: Timestamp) {
        context.setTime(now)
        session.end()
        session.releaseTopic()
        guard sessions.removeValue(forKey: session.id) != nil,
            let channel = session.subscription.channel
        else { return }
        channel.removeConsumer(session)
        if channel.name.isEphemeral, channel.consumers.count == 0, !channel.isDeleted {
            delete(channel)
        }
    }

    // MARK: Time

    /// The time on the monotonic clock, in nanoseconds, at which the caller must call
    /// ``tick(at:)``; `nil` without a pending timer.
    package var nextDeadline: Int64? { context.nextDeadline }

    /// Executes the timers that are due, within the iteration's budget. ``nextDeadline`` stays in the
    /// past if the budget postpones timers.
    package func tick(at now: Timestamp) {
        context.setTime(now)
        while context.budget.timers.hasSteps, let timer = context.popDueTimer() {
            context.budget.timers.charge(1)
            switch timer {
            case .session(let id): sessions[id].map(heartbeatTimerFired)
            case .channel(let number): channelsByNumber[number]?.timerFired()
            case .maintenance: runMaintenance()
            case .bulkOperations: bulkOperations.runPortions(of: self)
            }
        }
    }

    private func heartbeatTimerFired(_ session: Session) {
        session.removeFiredTimer()
        guard session.nextHeartbeatCheck != nil else { return }
        let now = context.now.monotonic
        if let reason = session.closeReason(at: now) {
            // Closing the connection requeues the messages in flight, so this work is charged here.
            context.budget.timers.charge(session.subscription.inFlightCount)
            return closeConnection(of: session, reason: reason)
        }
        if session.isHeartbeatDue(at: now) {
            respond(to: session, Frame.heartbeat.bytes)
            session.restartHeartbeats(at: now)
        }
        scheduleHeartbeatTimer(of: session)
    }

    /// Starts heartbeats, or restarts them with a new interval.
    func startHeartbeats(of session: Session) {
        session.restartHeartbeats(at: context.now.monotonic)
        scheduleHeartbeatTimer(of: session)
    }

    private func scheduleHeartbeatTimer(of session: Session) {
        guard let deadline = session.nextHeartbeatCheck, session.insertTimer(deadline) else {
            return
        }
        context.schedule(.session(session.id), deadline: deadline)
    }

    private func runMaintenance() {
        let now = context.now.monotonic
        maintenance.begin()
        if maintenancePass.isDone, maintenance.shouldReleaseMemory(at: now) {
            maintenancePass = MaintenancePass(of: Array(topics.values))
        }
        maintenancePass.run(context)
        if maintenance.shouldMarkIdle(at: now) { context.slabs.markIdle() }
        let hasMoreIdleSlabs = context.slabs.releaseIdle()
        // The last pass, which is at most five seconds old, has counted the needed bytes.
        let hasMoreSegments =
            maintenancePass.isDone && relocateSegment(neededBytes: maintenancePass.neededBytes)
        scheduleMaintenance(
            isUrgent: !maintenancePass.isDone || hasMoreIdleSlabs || hasMoreSegments)
    }

    /// Schedules maintenance if the broker has a message log, or memory to release.
    private func scheduleMaintenance(isUrgent: Bool = false) {
        guard context.log.messageLog != nil || !context.slabs.isEmpty,
            let deadline = maintenance.schedule(isUrgent: isUrgent, at: context.now.monotonic)
        else { return }
        context.schedule(.maintenance, deadline: deadline)
    }

    // MARK: End of a loop iteration

    /// Flushes the message log, and dispatches and delivers messages. At the end of each loop
    /// iteration, the caller repeats this call until it returns no session. Then the budget of the
    /// next iteration begins; the next iteration must follow at once if ``hasPostponedWork`` is
    /// `true`.
    ///
    /// - Returns: the sessions that have new data to send, or whose connection must be closed.
    package func endIteration(at now: Timestamp) -> [Session] {
        context.setTime(now)
        finishFailedMessages()
        flushLog()
        finishMoves()
        sendPublishReports()
        dispatchPending()
        deliverPending()
        publishFailures()
        flushLog()
        releaseDeletedTopics()
        scheduleMaintenance()
        scheduleBulkOperations()
        let sessions = context.pending.drainSessions()
        if sessions.isEmpty { context.budget.beginIteration() }
        return sessions
    }

    /// `true` if the budget of the last iteration has postponed dispatches or deliveries, or if failed
    /// messages whose copies are durable can be finished. Each iteration processes at least one topic
    /// and one channel. The number of iterations until the value is `false` therefore depends only on
    /// the postponed work.
    package var hasPostponedWork: Bool {
        context.pending.hasTopicsOrChannels || context.moves.hasSynced
    }

    /// Dispatches the messages of the pending topics. A topic whose messages exceed its share is
    /// added again, behind all other topics.
    private func dispatchPending() {
        for _ in 0..<context.pending.topicCount {
            guard context.budget.dispatches.hasSteps else { return }
            context.pending.popTopic()?.dispatchWithinBudget()
        }
    }

    /// Delivers the messages of the pending channels. A channel whose deliveries exceed its share is
    /// added again, behind all other channels.
    private func deliverPending() {
        let count = context.pending.channelCount
        for _ in 0..<count {
            guard context.budget.deliveries.hasSteps else { return }
            let share = context.budget.deliveries.share(ofMembers: count)
            context.pending.popChannel()?.deliver(atMost: share)
        }
    }

    /// Returns the events since the last call, and removes them.
    package func drainEvents() -> [BrokerEvent] { context.events.drain() }

    /// Resumes the delivery to a session after its outbox was emptied.
    package func resumeDelivery(to session: Session) {
        guard let channel = session.subscription.channel, session.endHoldBack() else { return }
        context.pending.add(channel)
    }

    /// Refuses all further messages.
    package func stop() { publishRefusal = .stopping }

    /// Refuses new messages until ``endDrain()``, and continues to deliver the queued messages.
    package func beginDrain() {
        if publishRefusal == nil { publishRefusal = .draining }
    }

    /// Accepts messages again after ``beginDrain()``.
    package func endDrain() {
        if publishRefusal == .draining { publishRefusal = nil }
    }

    /// The size in bytes of all slabs that hold messages (`used`), and of all spare slabs
    /// (`spare`).
    package var memoryBytes: (used: Int, spare: Int) {
        (context.slabs.usedBytes, context.slabs.spareBytes)
    }

    // MARK: Topics and channels

    /// Returns the topic of this name, and creates it if necessary.
    func topic(_ name: TopicName) -> Topic {
        if let topic = topics[name] { return topic }
        context.chargeCommand(WorkCost.creation)
        let topic = Topic(name: name, firstOrdinal: context.firstOrdinal(), context)
        topics[name] = topic
        if topic.isDurable { context.log.append(.topicCreated(name)) }
        if holdsNewTopics {
            topic.awaitChannels()
            if topic.isDurable { context.log.append(.topicHeld(name)) }
        }
        context.events.append(.topicCreated(name))
        return topic
    }

    /// Returns the channel of this name, and creates it if necessary.
    func channel(_ name: ChannelName, of topic: Topic) -> Channel {
        if let channel = topic.channel(name) { return channel }
        // After the flush, the new channel receives only messages that the topic has not dispatched
        // yet.
        flushLog(ifUnflushed: topic)
        context.chargeCommand(WorkCost.creation)
        lastChannelNumber += 1
        let channel = Channel(name: name, number: lastChannelNumber, topic: topic, context)
        channelsByNumber[channel.number] = channel
        topic.addChannel(channel)
        if channel.isDurable { context.log.append(.channelCreated(topic.name, name)) }
        context.events.append(.channelCreated(topic.name, name))
        return channel
    }

    /// Deletes a channel with its messages, and closes the connections of its consumers. Deleting
    /// the last channel of an ephemeral topic deletes the topic as well.
    func delete(_ channel: Channel) {
        let topic = channel.topic
        flushLog(ifUnflushed: topic)
        if topic.channels.count == 1 { topic.discardForLastChannel() }
        remove(channel, of: topic)
        if topic.name.isEphemeral, topic.channels.isEmpty { delete(topic) }
    }

    private func remove(_ channel: Channel, of topic: Topic) {
        topic.removeChannel(channel)
        channelsByNumber[channel.number] = nil
        closeConsumers(of: channel)
        if channel.isDurable { context.log.append(.channelDeleted(topic.name, channel.name)) }
        context.events.append(.channelDeleted(topic.name, channel.name))
    }

    /// Deletes a topic with its channels, and closes the connections of their consumers. The memory of
    /// the channels is released within the budgets of the next iterations.
    func delete(_ topic: Topic) {
        guard topics[topic.name] != nil else { return }
        flushLog(ifUnflushed: topic)
        sendPublishReports()
        topics[topic.name] = nil
        topic.delete()
        for channel in topic.channels {
            closeConsumers(of: channel)
            // If the record of the topic's deletion is lost, these records still delete the messages.
            if channel.isDurable { context.log.append(.channelDeleted(topic.name, channel.name)) }
        }
        if topic.isDurable { context.log.append(.topicDeleted(topic.name)) }
        context.events.append(
            .topicDeleted(topic.name, channels: topic.channels.map(\.name)))
        context.pending.addDeleted(topic)
    }

    private func closeConsumers(of channel: Channel) {
        guard channel.consumers.count > 0 else { return }
        for session in channel.consumers.sessions {
            closeConnection(of: session, reason: .channelDeleted)
        }
    }

    /// Releases the memory of deleted topics' channels within the iteration's budget.
    private func releaseDeletedTopics() {
        while context.budget.releases.hasSteps, let topic = context.pending.firstDeletedTopic {
            context.budget.releases.charge(WorkCost.release)
            releaseNextChannel(of: topic)
        }
    }

    /// Releases the memory of all deleted topics' channels at once. Recovery needs this method,
    /// because it has no loop iterations among which the work could be divided.
    func releaseAllDeletedTopics() {
        while let topic = context.pending.firstDeletedTopic { releaseNextChannel(of: topic) }
    }

    private func releaseNextChannel(of topic: Topic) {
        if let channel = topic.releaseDeletedChannel() {
            channelsByNumber[channel.number] = nil
        } else {
            context.pending.removeFirstDeletedTopic()
        }
    }
}
