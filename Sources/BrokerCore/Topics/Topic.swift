import DequeModule
import NSQWire
import TallyBasics

/// A stream of messages. The topic owns the segments that contain the messages; each of its
/// channels reads the segments with its own cursor.
///
/// Messages are undispatched (``UndispatchedMessages``) until the end of the loop iteration, and as
/// long as the topic is paused or has no channel. Deferred messages are stored in separate
/// segments, so that the ordinals in the other segments have no gaps.
package final class Topic: PendingItem {
    package let name: TopicName
    private let nameBytes: [UInt8]
    private let isEphemeral: Bool
    let context: BrokerContext
    var pendingMark = PendingMark()

    let segments = TopicSegments()
    let undispatched: UndispatchedMessages
    /// The topic's part of the message log; `nil` if the topic is not durable.
    let log: DurableTopicLog?
    private var channelTable = TopicChannels()
    /// `true` if the message log does not contain all messages of the durable topic.
    private(set) var isUnflushed = false

    private(set) var isPaused = false
    private(set) var isDeleted = false
    /// `true` if the topic holds its messages until its channels in other brokers are known.
    private(set) var awaitsChannels = false
    /// `true` if the channels deliver nothing, because their messages are moved to another broker.
    private(set) var suspendsDeliveries = false
    /// The time after which undelivered messages expire, in nanoseconds; 0 if messages do not
    /// expire.
    private(set) var lifetime: Int64
    private(set) var counts = MessageCounts()
    /// The messages that were reported to a test.
    private var reported = ReportedEnd()
    private var reportedDeferred = ReportedEnd()

    /// Creates an empty topic.
    ///
    /// - Parameter firstOrdinal: the ordinal of the first message. It must be greater than all
    ///   ordinals of a deleted topic with the same name, because the log may have lost the record of
    ///   the deletion but not the messages.
    init(name: TopicName, firstOrdinal: Int, _ context: BrokerContext) {
        self.name = name
        self.context = context
        nameBytes = Array(name.text.utf8)
        isEphemeral = name.isEphemeral
        lifetime = context.options.lifetimes[name].nanoseconds
        undispatched = UndispatchedMessages(firstOrdinal: firstOrdinal, context.memory)
        log = (name.isEphemeral ? nil : context.log.messageLog).map {
            DurableTopicLog(
                topic: name, messageLog: $0, firstOrdinal: firstOrdinal, context)
        }
    }

    /// `true` if the message log contains the topic's messages.
    var isDurable: Bool { log != nil }

    /// The number of messages that were not dispatched yet.
    var depth: Int { undispatched.count }

    /// The number of slab bytes for all messages published since the broker's start.
    var storedBytes: Int {
        counts.bytes + counts.messages * Segment.byteCount(bodyBytes: 0)
    }

    /// Returns `true` if `bytes` are the UTF-8 bytes of the topic's name.
    @inline(__always)
    func isNamed(_ bytes: Bytes) -> Bool { bytes.elementsEqual(nameBytes) }

    // MARK: Channels

    /// The topic's channels, in no particular order.
    var channels: [Channel] { channelTable.all }

    /// The topic's channels in the order of their names.
    var sortedChannels: [Channel] { channelTable.sorted }

    /// `true` if the message log contains the state of at least one channel.
    var hasDurableChannel: Bool { channelTable.containsDurable }

    func channel(_ name: ChannelName) -> Channel? { channelTable[name] }

    /// Adds a channel. The first channel receives all messages that the topic holds. A later
    /// channel receives only messages published after its creation.
    func addChannel(_ channel: Channel) {
        assignDispatchable()
        channelTable.insert(channel)
        addSegments(to: channel)
        context.pending.add(self)
    }

    func removeChannel(_ channel: Channel) {
        finishFirstDeferred()
        channelTable.remove(channel)
        channel.delete()
    }

    // MARK: Publishing

    /// Publishes one message.
    func publish(_ body: Bytes) {
        count(1, bytes: body.count)
        guard acceptedCount(of: 1) > 0 else { return }
        let timestamp = context.now.wall
        if segments.tail?.append(body, timestampNanoseconds: timestamp) != true {
            roll(forBodyBytes: body.count).append(body, timestampNanoseconds: timestamp)
        }
        undispatched.didPublish(upTo: segments.tail!.endOrdinal)
    }

    /// Publishes `count` messages of an MPUB body, whose sizes have been checked.
    func publish(_ count: Int, from batch: Bytes) {
        self.count(count, bytes: batch.count - 4 * count)
        var offset = 0
        var left = acceptedCount(of: count)
        while left > 0 {
            if let tail = segments.tail {
                tail.append(
                    from: batch, at: &offset, left: &left, timestampNanoseconds: context.now.wall)
                undispatched.didPublish(upTo: tail.endOrdinal)
            }
            guard left > 0 else { return }
            _ = roll(forBodyBytes: Int(batch.bigEndian(at: offset, as: Int32.self)))
        }
    }

    /// Publishes a message that is deferred until `deadline` on the monotonic clock, in
    /// nanoseconds.
    ///
    /// - Parameter channels: the channels that receive the message; `nil` for all. The topic must not
    ///   hold its messages then.
    func publish(_ body: Bytes, deferredUntil deadline: Int64, for channels: [ChannelName]? = nil) {
        count(1, bytes: body.count)
        guard acceptedCount(of: 1) > 0 else { return }
        let timestamp = context.now.wall
        if segments.deferredTail?.append(body, timestampNanoseconds: timestamp) != true {
            if let tail = segments.deferredTail { seal(tail) }
            open(forBodyBytes: body.count, isDeferred: true)
                .append(body, timestampNanoseconds: timestamp)
        }
        let segment = segments.deferredTail!
        undispatched.addDeferred(
            segment, segment.count - 1, until: deadline, for: channels,
            channelCount: self.channels.count)
    }

    /// Counts published messages and the bytes of their bodies.
    private func count(_ messages: Int, bytes: Int) {
        counts.messages += messages
        counts.bytes += bytes
        context.pending.add(self)
        if isDurable, !isUnflushed {
            isUnflushed = true
            context.pending.addUnflushed(self)
        }
    }

    /// Returns how many of `count` messages are accepted. As in nsqd, an ephemeral topic that holds
    /// its messages discards the messages that exceed its queue.
    @inline(__always)
    private func acceptedCount(of count: Int) -> Int {
        guard isEphemeral, holdsMessages else { return count }
        return min(count, max(0, context.options.memoryQueueSize - depth))
    }

    /// Seals the tail segment and opens a new one.
    private func roll(forBodyBytes bodyBytes: Int) -> Segment {
        if let tail = segments.tail { seal(tail) }
        return open(forBodyBytes: bodyBytes, isDeferred: false)
    }

    private func open(forBodyBytes bodyBytes: Int, isDeferred: Bool) -> Segment {
        context.chargeCommand(channels.count)
        let segment = segments.open(
            forBodyBytes: bodyBytes, isDeferred: isDeferred,
            firstOrdinal: undispatched.publishedEnd, context)
        for channel in channels { channel.segments.append(segment, settledCount: 0) }
        return segment
    }

    // MARK: Segments

    /// Seals a segment, so that no more messages are appended to it.
    func seal(_ segment: Segment) {
        segment.seal()
        log?.didSeal(segment)
        for channel in channels { channel.releaseIfDone(segment) }
        removeIfUnneeded(segment)
    }

    /// Removes a channel's reference to a segment.
    func release(_ segment: Segment) {
        segment.removeReference()
        removeIfUnneeded(segment)
    }

    func removeIfUnneeded(_ segment: Segment) {
        guard segment.isSealed, segment.referenceCount == 0, segment.undispatchedCount == 0,
            segment.isDeferred || segment.endOrdinal <= undispatched.dispatchedEnd
                || segment.count == 0
        else { return }
        log?.release(segment)
        segments.remove(segment)
    }

    /// Adds to a channel every segment that contains undispatched messages or is not sealed. The channel
    /// does not receive messages that are assigned to earlier channels.
    func addSegments(to channel: Channel) {
        for segment in segments.all where !undispatched.isAssigned(segment) {
            let count = undispatched.count(in: segment)
            guard count > 0 || !segment.isSealed else { continue }
            channel.segments.append(segment, settledCount: segment.count - count)
        }
    }

    /// Returns the indexes of the segment's messages that were not reported to a test yet, and marks
    /// them as reported.
    func advanceReports(past segment: Segment) -> Range<Int> {
        segment.isDeferred
            ? reportedDeferred.advance(past: segment) : reported.advance(past: segment)
    }

    // MARK: Message log

    /// Appends the messages published since the last flush to the log.
    func appendUnflushed() {
        log?.append(segments.tails, counts, deadlines: undispatched.undurableDeadlines)
    }

    /// Marks all messages as durable after a successful flush.
    func didFlush() {
        isUnflushed = false
        guard let log,
            log.didFlush(segments.tails, counts, publishedEnd: undispatched.publishedEnd)
        else { return }
        log.trimMemory(isFarAhead)
    }

    /// Removes the messages published since the last flush, which the log has failed to write.
    func rollBack() {
        isUnflushed = false
        guard let log else { return }
        let refused = log.rollBack(segments.tails, &counts)
        guard !refused.isEmpty else { return }
        undispatched.removeUndurable(from: log.durableEnd)
        for segment in refused.reversed() {
            segment.removeUndurable()
            removeIfEmpty(segment)
        }
    }

    /// Removes a segment that a rollback has emptied, because its first ordinal would not match the
    /// next message. Also releases a sealed segment that is no longer needed.
    private func removeIfEmpty(_ segment: Segment) {
        guard segment.count == 0 || segment.isSealed else { return }
        segments.closeTail(segment)
        guard segment.isSealed else { return seal(segment) }
        for channel in channels { channel.releaseIfDone(segment) }
        removeIfUnneeded(segment)
    }

    // MARK: Control

    func pause(_ isPaused: Bool) {
        // Messages published before the pause are still dispatched to the channels.
        assignDispatchable()
        self.isPaused = isPaused
        context.pending.add(self)
    }

    /// Sets the time after which undelivered messages expire; zero if messages do not expire.
    func setLifetime(_ lifetime: Duration) { self.lifetime = max(0, lifetime.nanoseconds) }

    /// Dispatches no message until ``startDispatching()``, while the broker asks nsqlookupd for the topic's
    /// channels.
    func awaitChannels() { awaitsChannels = true }

    func startDispatching() { awaitsChannels = false }

    /// Suspends or resumes the deliveries of all channels that are not ephemeral.
    func suspendDeliveries(_ isSuspended: Bool) {
        guard isSuspended != suspendsDeliveries else { return }
        suspendsDeliveries = isSuspended
        guard !isSuspended else { return }
        for channel in channels { context.pending.add(channel) }
    }

    /// Discards the undispatched messages, except those that are assigned to the present channels.
    func empty() {
        assignDispatchable()
        if let discarded = undispatched.dispatch(upTo: dispatchableEnd) {
            for channel in channels { channel.discard(discarded) }
        }
        undispatched.resetLostCount()
        discard(undispatched.removeUnassigned(requiresDurable: isDurable))
        for segment in segments.all { removeIfUnneeded(segment) }
    }

    /// Discards the messages that are assigned to the topic's last channel, which the caller then
    /// deletes. Otherwise, a later channel would receive these messages.
    func discardForLastChannel() {
        assignDispatchable()
        let messages = undispatched.removeDeferred(first: undispatched.assignedCount)
        guard !messages.isEmpty else { return }
        discard(messages)
        for segment in segments.all { removeIfUnneeded(segment) }
    }

    private func discard(_ messages: [UndispatchedMessages.DeferredMessage]) {
        // The messages are grouped by segment, because a channel can discard all messages of a
        // segment in the time that it needs for one message.
        let segments = Dictionary(grouping: messages) { ObjectIdentifier($0.segment) }
        for messages in segments.values {
            for channel in channels {
                channel.discardDeferred(messages.count, in: messages[0].segment)
            }
        }
    }

    /// Deletes the topic and its channels. The memory of the channels is released later, by
    /// ``releaseDeletedChannel()``.
    func delete() {
        isDeleted = true
        for channel in channels { channel.markDeleted() }
        // A producer's session can retain the topic, so the segments' memory is released here.
        for segment in segments.all { log?.release(segment) }
        segments.removeAll()
        undispatched.removeAllDeferred()
    }

    /// Removes one channel of the deleted topic, and releases its memory.
    ///
    /// - Returns: `nil` if no channel is left.
    func releaseDeletedChannel() -> Channel? {
        guard let channel = channelTable.removeLast() else { return nil }
        channel.releaseMemory()
        return channel
    }
}
