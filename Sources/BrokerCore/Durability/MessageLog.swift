import NSQWire

/// A log that stores all durable topics, channels and messages, and from which messages that are
/// not in memory are read. The implementation is a journal on a real or simulated disk.
///
/// Once ``flush()`` has returned, the records survive the end of the process. The broker flushes
/// the log once per loop iteration, before it delivers messages and responds to publishes.
package protocol MessageLog: AnyObject {
    /// `true` if the broker responds to a publish after the sync of the records, and `false` if it
    /// responds after the flush. With `true`, the broker's owner calls ``Broker/didSync(upTo:at:)``
    /// after each sync.
    var respondsAfterSync: Bool { get }

    /// Appends a record of a change to topics, channels or deliveries.
    func append(_ record: LogRecord)

    /// Appends messages of a topic in their wire form.
    ///
    /// - Parameters:
    ///   - indexes: the indexes of the messages in `segment`.
    ///   - kind: the reason why the messages are appended.
    func append(
        _ indexes: Range<Int>, of segment: Segment, in topic: TopicName, as kind: MessageRecordKind)

    /// Writes everything that was appended since the last call.
    ///
    /// - Returns: the number of the flush, which is greater than all earlier flush numbers if
    ///   something was written.
    /// - Throws: an error if the write has failed. The log then discards the appended messages, and
    ///   keeps the other records for the next flush.
    func flush() throws(MessageLogError) -> UInt64

    /// Starts a sync of everything that was written, if it is not synced. The log's owner calls
    /// ``Broker/didSync(upTo:at:)`` or ``Broker/didFailSync(upTo:_:at:)`` after it.
    func sync()

    /// Reads a segment's messages.
    ///
    /// - Parameter body: a closure that is called with consecutive message frames and the index of
    ///   the first one.
    /// - Throws: an error if the messages cannot be read now. Damaged messages are skipped without
    ///   an error.
    func readMessages(of segment: Segment, _ body: (Bytes, Int) -> Void) throws(MessageLogError)

    /// Releases a segment whose messages are no longer needed.
    func release(_ segment: Segment)

    /// Returns the serial number of a segment whose relocation to the end of the log releases disk
    /// space; `nil` if there is none.
    ///
    /// - Parameter neededBytes: the size of all messages that are still needed, in bytes.
    func segmentToRelocate(neededBytes: Int) -> UInt64?
}

/// The kind of a log record that contains messages.
package enum MessageRecordKind: Hashable, Sendable {
    case published
    /// Deferred messages, with the deadline of each message on the wall clock in nanoseconds.
    case deferred([Int64])
    /// The log already contains the messages in older records. The topic has dispatched all its
    /// messages below the ordinal `dispatchedEnd`.
    case relocated(dispatchedEnd: Int)
    /// The log already contains the deferred messages in older records. The values are the deadlines
    /// of the messages on the wall clock in nanoseconds; 0 for a message that the topic has
    /// dispatched.
    case relocatedDeferred([Int64])
}

/// The reason why the message log could not be written or read.
package struct MessageLogError: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String

    /// - Parameter description: the text that publishers receive.
    package init(_ description: String) { self.description = description }
}

/// Consecutive messages of one segment.
package struct MessageRun: Hashable, Sendable {
    /// The serial number of the segment.
    package var serial: UInt64
    /// The index of the first message in the segment.
    package var first: Int
    package var count: Int

    /// Creates a run of messages.
    ///
    /// - Parameters:
    ///   - serial: the serial number of the segment.
    ///   - first: the index of the first message in the segment.
    ///   - count: the number of messages.
    package init(serial: UInt64, first: Int, count: Int = 1) {
        self.serial = serial
        self.first = first
        self.count = count
    }

    /// The indexes of the messages in their segment.
    package var indexes: Range<Int> { first..<first + count }
}

/// The number of attempts and the deferral of one message in one channel.
package struct DeliveryRecord: Hashable, Sendable {
    /// The serial number of the message's segment.
    package var serial: UInt64
    /// The message's index in the segment.
    package var index: Int
    /// The number of delivery attempts so far.
    package var attempts: UInt16
    /// The end of the deferral on the wall clock in nanoseconds; 0 without a deferral.
    package var due: Int64

    /// Creates a record of the message `index` in the segment with the number `serial`.
    package init(serial: UInt64, index: Int, attempts: UInt16, due: Int64) {
        self.serial = serial
        self.index = index
        self.attempts = attempts
        self.due = due
    }
}

/// A change to topics, channels or deliveries.
package enum LogRecord: Hashable, Sendable {
    case topicCreated(TopicName)
    case topicDeleted(TopicName)
    /// The topic was paused (`true`) or unpaused (`false`).
    case topicPaused(TopicName, Bool)
    case topicEmptied(TopicName)
    /// The topic holds its messages until ``topicStarted(_:)``, because its channels in other
    /// brokers are not known yet.
    case topicHeld(TopicName)
    case topicStarted(TopicName)
    /// The topic has dispatched all its messages, and none of its channels is durable. The log does
    /// not need the messages any more.
    case dispatched(TopicName)
    case channelCreated(TopicName, ChannelName)
    case channelDeleted(TopicName, ChannelName)
    /// The channel was paused (`true`) or unpaused (`false`).
    case channelPaused(TopicName, ChannelName, Bool)
    case channelEmptied(TopicName, ChannelName)
    /// The channel has finished the messages.
    case finished(TopicName, ChannelName, [MessageRun])
    /// The channel has delivered the messages for the first time.
    case delivered(TopicName, ChannelName, [MessageRun])
    /// The channel has redelivered messages, or requeued them with a delay, before `writtenAt` on the
    /// wall clock in nanoseconds; `nil` if the time is not known.
    case deliveriesUpdated(TopicName, ChannelName, [DeliveryRecord], writtenAt: Int64?)
}

/// A topic with its channels at the time when a log file was created.
package struct TopicSnapshot: Hashable, Sendable {
    package var name: TopicName
    package var isPaused: Bool
    package var channels: [ChannelSnapshot]

    package init(name: TopicName, isPaused: Bool, channels: [ChannelSnapshot]) {
        self.name = name
        self.isPaused = isPaused
        self.channels = channels
    }

    /// A channel at the time when a log file was created.
    package struct ChannelSnapshot: Hashable, Sendable {
        package var name: ChannelName
        package var isPaused: Bool

        /// Creates a snapshot of a channel.
        package init(name: ChannelName, isPaused: Bool) {
            self.name = name
            self.isPaused = isPaused
        }
    }
}

/// The description of consecutive messages in the log, without their bodies.
package struct RecoveredMessages {
    package var topic: TopicName
    /// The segment and the indexes of the messages.
    package var run: MessageRun
    /// The ordinal of the segment's first message.
    package var firstOrdinal: Int
    /// The size of the messages in wire form, in bytes.
    package var byteCount: Int
    /// The reason why the messages were appended.
    package var kind: MessageRecordKind
    /// The time on the wall clock, in nanoseconds, at which each deferred message was published;
    /// empty for messages that are not deferred.
    package var publishTimes: [Int64]

    /// Describes consecutive messages of one segment.
    ///
    /// - Parameters:
    ///   - firstOrdinal: the ordinal of the segment's first message.
    ///   - byteCount: the size of the messages in wire form, in bytes.
    ///   - publishTimes: the time on the wall clock, in nanoseconds, at which each deferred message
    ///     was published.
    package init(
        topic: TopicName, run: MessageRun, firstOrdinal: Int, byteCount: Int,
        kind: MessageRecordKind, publishTimes: [Int64] = []
    ) {
        self.topic = topic
        self.run = run
        self.firstOrdinal = firstOrdinal
        self.byteCount = byteCount
        self.kind = kind
        self.publishTimes = publishTimes
    }

    var isDeferred: Bool {
        switch kind {
        case .published, .relocated: false
        case .deferred, .relocatedDeferred: true
        }
    }
}
