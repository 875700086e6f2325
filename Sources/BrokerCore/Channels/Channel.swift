import NSQWire
import TallyBasics

/// A channel: one copy of a topic's message stream, which the channel's consumers share. The
/// channel delivers each message to one consumer.
///
/// A message is ahead of the cursor (``ChannelCursor``), or in flight, waiting for a redelivery or
/// deferred (``DeliveryTracker``), or settled (``ChannelSegment``).
package final class Channel: PendingItem {
    package let name: ChannelName
    /// A number that distinguishes this channel from a deleted channel with the same name.
    let number: UInt64
    /// The topic, which owns this channel.
    unowned let topic: Topic
    let context: BrokerContext
    /// The distribution of message latencies; `nil` if they are not measured.
    let latency: LatencyWindow?
    var pendingMark = PendingMark()

    let consumers = ConsumerRotation()
    let segments: ChannelSegmentTable
    let cursor: ChannelCursor
    let deliveries: DeliveryTracker
    /// The records that are not in the message log yet; `nil` if the channel is not durable.
    private let log: ChannelLogBuffer?
    private var timers = PendingTimers()

    private(set) var isPaused = false
    private(set) var isDeleted = false
    /// The number of messages that the channel received since the broker's start.
    private(set) var messageCount = 0
    /// The number of deliveries after which a message is moved to the failed set; 0 for no limit.
    private(set) var maxAttempts: Int
    /// The number of messages that were moved to the failed set since the broker's start.
    private(set) var failedCount = 0
    /// The number of messages that expired since the broker's start.
    private(set) var expiredCount = 0

    init(name: ChannelName, number: UInt64, topic: Topic, _ context: BrokerContext) {
        self.name = name
        self.number = number
        self.topic = topic
        self.context = context
        maxAttempts = context.options.attemptLimits[topic.name, name]
        segments = ChannelSegmentTable(context.memory)
        cursor = ChannelCursor(context.memory)
        deliveries = DeliveryTracker(context.memory)
        latency =
            context.options.latencyPercentiles.isEmpty
            ? nil
            : LatencyWindow(length: context.options.latencyWindow, at: context.now.monotonic)
        log = topic.isDurable && !name.isEphemeral ? ChannelLogBuffer() : nil
    }

    /// `true` if the message log contains the channel's state.
    var isDurable: Bool { log != nil }

    /// The number of messages that can be delivered now: those ahead of the cursor and those that
    /// wait for a redelivery.
    var depth: Int { cursor.depth + deliveries.waitingCount }

    /// Pauses the channel if `isPaused` is `true`, and unpauses it otherwise.
    func pause(_ isPaused: Bool) {
        self.isPaused = isPaused
        context.pending.add(self)
    }

    // MARK: Incoming messages

    /// Accepts dispatched messages. An ephemeral channel discards the messages that exceed its
    /// queue.
    func accept(_ ordinals: Range<Int>) {
        messageCount += ordinals.count
        var accepted = ordinals
        if name.isEphemeral {
            accepted = ordinals.prefix(max(0, context.options.memoryQueueSize - depth))
            discard(accepted.upperBound..<ordinals.upperBound)
        }
        guard !accepted.isEmpty else { return }
        cursor.append(accepted)
        context.pending.add(self)
    }

    /// Accepts one deferred message.
    ///
    /// - Parameters:
    ///   - index: the message's index in `segment`.
    ///   - deadline: the time of the message's delivery on the monotonic clock, in nanoseconds.
    func accept(_ segment: Segment, _ index: Int, deferredUntil deadline: Int64) {
        guard let number = segments.number(serial: segment.serial) else { return }
        messageCount += 1
        let id =
            context.log.isReplaying
            ? deliveries.recoverDeferred(index: index, segmentNumber: number, until: deadline)
            : deliveries.addDeferred(index: index, segmentNumber: number, until: deadline)
        segments[number]!.setState(id, of: index)
        context.pending.add(self)
    }

    /// Settles dispatched messages that the channel does not receive.
    ///
    /// - Parameter ordinals: the ordinals of the dispatched messages.
    func discard(_ ordinals: Range<Int>) {
        for number in segments.numbers.reversed() {
            guard let segment = segments[number]?.segment, !segment.isDeferred else { continue }
            guard segment.endOrdinal > ordinals.lowerBound else { break }
            let overlap = segment.ordinals.clamped(to: ordinals)
            if !overlap.isEmpty { settle(overlap.count, in: number) }
        }
    }

    /// Settles `count` deferred messages of a segment that the channel does not receive.
    func discardDeferred(_ count: Int, in segment: Segment) {
        segments.number(serial: segment.serial).map { settle(count, in: $0) }
    }

    /// Settles a dispatched deferred message that is for other channels only.
    func skip(_ index: Int, of segment: Segment) {
        segments.number(serial: segment.serial).map { settleMessage(index, in: $0) }
    }

    func setMaxAttempts(_ limit: Int) { maxAttempts = max(0, limit) }

    func didFail(_ reason: FailedMessage.Reason) {
        failedCount += 1
        if reason == .expired { didExpire(1) }
    }

    func didExpire(_ count: Int) { expiredCount += count }

    /// Resets ``messageCount``, which must not count recovered messages.
    func endRecoveryOfCounts() { messageCount = 0 }

    // MARK: Segments

    func didCompact(_ segment: Segment) { segments[segment]?.compact() }

    func releaseIfDone(_ segment: Segment) {
        segments.number(serial: segment.serial).map { releaseIfDone($0) }
    }

    /// Releases the segment with the number `number` if the channel no longer needs it.
    func releaseIfDone(_ number: Int) {
        if let segment = segments.removeIfDone(number) { topic.release(segment) }
    }

    /// Settles `count` messages of the segment with the number `number`, and releases the segment
    /// if the channel no longer needs it.
    func settle(_ count: Int, in number: Int) {
        if let segment = segments.settle(count, in: number) { topic.release(segment) }
    }

    /// Settles one message that has no delivery.
    func settleMessage(_ index: Int, in number: Int) {
        let segment = segments[number]!
        segment.setState(ChannelSegment.settled, of: index)
        recordFinished(index..<index + 1, of: segment.segment)
        settle(1, in: number)
    }

    /// Returns the indexes of a segment's messages that have a delivery in this channel.
    ///
    /// - Parameters:
    ///   - segment: the segment to search.
    ///   - limit: the maximum number of indexes.
    /// - Returns: `nil` if the channel has more than `limit` unfinished messages in the segment, or
    ///   if some unfinished messages are ahead of the cursor.
    func unfinished(in segment: Segment, atMost limit: Int) -> [Int]? {
        guard let channelSegment = segments[segment] else { return [] }
        guard channelSegment.unsettledCount <= limit else { return nil }
        let indexes = channelSegment.deliveredIndexes
        return indexes.count == channelSegment.unsettledCount ? indexes : nil
    }

    /// Returns `true` if the channel will not read the segment soon. Either the channel does not need
    /// the segment, or it has not started the segment and the cursor's next message is in another
    /// one.
    func isFarFrom(_ segment: Segment) -> Bool {
        guard let channelSegment = segments[segment] else { return true }
        guard channelSegment.isUntouched else { return false }
        guard let next = cursor.ahead.first?.lowerBound else { return true }
        return !segment.ordinals.contains(next)
    }

    /// Settles the unreadable messages that are ahead of the cursor, so that the channel does not
    /// wait for them. Unreadable messages with a delivery, such as deferred messages, are settled
    /// when they are due for redelivery.
    ///
    /// - Parameter indexes: the indexes of the unreadable messages in `segment`.
    func lose(_ indexes: Range<Int>, of segment: Segment) {
        guard !segment.isDeferred, let number = segments.number(serial: segment.serial),
            let channelSegment = segments[number]
        else { return }
        let ordinals =
            segment.firstOrdinal + indexes.lowerBound..<segment.firstOrdinal + indexes.upperBound
        for index in cursor.remove(ordinals).joined().map({ $0 - segment.firstOrdinal })
        where channelSegment.state(of: index) == ChannelSegment.untouched {
            channelSegment.setState(ChannelSegment.settled, of: index)
            recordFinished(index..<index + 1, of: segment)
            channelSegment.settle(1)
        }
        releaseIfDone(number)
    }

    /// Discards all messages.
    func empty() {
        for segment in segments.removeAll() {
            // The channel will not receive the messages that are assigned to it, but they count as
            // received.
            if topic.undispatched.isAssigned(segment) { messageCount += segment.undispatchedCount }
            topic.release(segment)
        }
        cursor.removeAll()
        deliveries.removeAll()
        for session in consumers.sessions { session.didEmptyChannel() }
        topic.addSegments(to: self)
        context.pending.add(self)
    }

    func delete() {
        markDeleted()
        for segment in segments.removeAll() { topic.release(segment) }
        releaseMemory()
    }

    /// Ends all deliveries, timers and log records of the channel.
    func markDeleted() { isDeleted = true }

    /// Releases the memory of the deleted channel, which a session can retain.
    func releaseMemory() {
        _ = segments.removeAll()
        cursor.removeAll()
        deliveries.removeAll()
    }

    // MARK: Timers

    /// Queues the deferred messages that are due, and requeues the messages whose timeout has
    /// passed, within a share of the iteration's budget. ``scheduleTimer()`` schedules the
    /// processing of the remaining messages.
    func timerFired() {
        timers.removeFired()
        guard !isDeleted else { return }
        let now = context.now.monotonic
        let limit = context.budget.timers.share(ofMembers: Self.timersPerIteration)
        var left = limit
        left -= deliveries.queueDueDeferred(
            at: now, behind: cursor.acceptedCount, atMost: limit)
        while left > 0,
            let slot = deliveries.requeueTimedOut(at: now, behind: cursor.acceptedCount)
        {
            let session = consumers[slot]
            precondition(session != nil, "a consumer that leaves has no messages in flight")
            session!.didRequeueUnanswered()
            left -= 1
        }
        context.budget.timers.charge(limit - left)
        context.pending.add(self)
    }

    /// The number of equal shares into which the budget for timers is divided in each iteration.
    /// One timer uses at most one share.
    private static let timersPerIteration = 8

    /// Schedules the channel's timer for the earliest deadline of a message in flight or deferred.
    func scheduleTimer() {
        // A timer can leave overdue messages for later. Their timer is scheduled for the current time
        // instead of their deadline, so that other due timers run first.
        if let deadline = deliveries.nextDeadlineCheck {
            scheduleTimer(max(deadline, context.now.monotonic))
        }
    }

    func scheduleTimer(_ deadline: Int64) {
        guard timers.insert(deadline) else { return }
        context.schedule(.channel(number), deadline: deadline)
    }

    // MARK: Log records

    @inline(__always)
    func recordDelivered(_ indexes: Range<Int>, of segment: Segment) {
        openLog()?.appendDelivered(indexes, of: segment.serial)
    }

    @inline(__always)
    func recordFinished(_ indexes: Range<Int>, of segment: Segment) {
        openLog()?.appendFinished(indexes, of: segment.serial)
    }

    /// Records the messages that a series of FIN commands has finished.
    ///
    /// - Parameter commands: the bytes of the FIN commands.
    func recordFinished(_ commands: Bytes) { openLog()?.appendFinished(commands) }

    /// Records the number of attempts of a delivery, and its deferral.
    ///
    /// - Parameters:
    ///   - id: the ID of the delivery.
    ///   - deadline: the end of the deferral on the wall clock, in nanoseconds; 0 without a
    ///     deferral.
    func recordUpdated(_ id: Int32, deferredUntil deadline: Int64) {
        guard let log = openLog() else { return }
        let delivery = deliveries[id]
        log.appendUpdated(
            DeliveryRecord(
                serial: segments[delivery.segmentNumber]!.segment.serial,
                index: Int(delivery.index), attempts: delivery.attempts, due: deadline))
    }

    /// Returns the buffer for log records. Adds the channel to the pending work if the buffer is
    /// empty.
    private func openLog() -> ChannelLogBuffer? {
        if let log, log.isEmpty { context.pending.addRecording(self) }
        return log
    }

    /// Moves the buffered records to the message log. The records of a deleted channel are
    /// discarded.
    func drainRecords() {
        guard !isDeleted else { return log?.removeAll() ?? () }
        log?.drain(to: context.log, topic.name, name, at: context.now.wall)
    }
}
