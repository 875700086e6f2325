import NSQWire

/// Where a broker notes what is to outlive it, and reads messages back from that it does not hold
/// in memory. The core knows it by this door only; behind it is a disk, or a simulation of one.
///
/// What is appended is safe from the end of the program once ``write()`` has returned. The broker
/// writes once a turn, before any message of the turn is handed out or answered.
package protocol Ledger: AnyObject {
    /// A publish is answered once its write has been synced, not as soon as it is written; whoever
    /// drives the broker then says so with ``Broker/synced(upTo:)``.
    var answersAfterSync: Bool { get }

    /// What became of topics, channels, and messages that are in here already.
    func append(_ change: LedgerChange)

    /// Messages of a topic, in the wire form that they have in their segment.
    func append(
        _ indexes: Range<Int>, of segment: Segment, in topic: TopicName, as kind: NotedMessages)

    /// Writes what was appended since the last time.
    ///
    /// - Returns: the write's number: each is greater than the one before.
    /// - Throws: if it could not be written. The messages are forgotten then; the changes stay, for
    ///   the next write.
    func write() throws(LedgerError) -> UInt64

    /// Reads a segment's messages back.
    ///
    /// - Parameter take: is given runs of records, ascending, each with the index of its first.
    /// - Throws: if they cannot be read now. What is damaged is left out and reported elsewhere.
    func load(_ segment: Segment, _ take: (Bytes, Int) -> Void) throws(LedgerError)

    /// Nobody needs the segment's messages any more.
    func forget(_ segment: Segment)

    /// A segment that should be written anew, so that the place where it lies becomes free.
    ///
    /// - Parameter bytes: what all messages take that are still needed.
    func segmentToMove(needed bytes: Int) -> UInt64?
}

/// Why messages are appended.
package enum NotedMessages: Hashable, Sendable {
    case published
    /// To be handed out at these times of the wall clock.
    case deferred([Int64])
    /// They are in the ledger already, further back. The topic's messages before the ordinal
    /// `released` were handed to its channels.
    case moved(released: Int)
    /// Deferred messages that are in the ledger already: when those are due that no channel has
    /// yet, and 0 for others.
    case movedDeferred([Int64])
}

/// Why something could not be written or read.
package struct LedgerError: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Records of one segment that lie side by side.
package struct RecordRun: Hashable, Sendable {
    package var serial: UInt64
    package var first: Int
    package var count: Int

    package init(serial: UInt64, first: Int, count: Int = 1) {
        self.serial = serial
        self.first = first
        self.count = count
    }

    package var indexes: Range<Int> { first..<first + count }
}

/// A delivery as it is noted: how often it was tried, and until when it is deferred.
package struct NotedDelivery: Hashable, Sendable {
    package var serial: UInt64
    package var index: Int
    package var attempts: UInt16
    /// On the wall clock; 0 if it is not deferred.
    package var due: Int64

    package init(serial: UInt64, index: Int, attempts: UInt16, due: Int64) {
        self.serial = serial
        self.index = index
        self.attempts = attempts
        self.due = due
    }
}

/// What is noted of topics and channels.
package enum LedgerChange: Hashable, Sendable {
    case topicCreated(TopicName)
    case topicDeleted(TopicName)
    case topicPaused(TopicName, Bool)
    case topicEmptied(TopicName)
    /// It keeps its messages until it is known which channels are to get them, and then no more.
    case topicHeld(TopicName)
    case topicStarted(TopicName)
    /// Messages were handed to channels none of which is noted here: they are gone for us.
    case handedOver(TopicName)
    case channelCreated(TopicName, ChannelName)
    case channelDeleted(TopicName, ChannelName)
    case channelPaused(TopicName, ChannelName, Bool)
    case channelEmptied(TopicName, ChannelName)
    case finished(TopicName, ChannelName, [RecordRun])
    /// For the first time.
    case delivered(TopicName, ChannelName, [RecordRun])
    /// Deferred, or delivered once more.
    case returned(TopicName, ChannelName, [NotedDelivery])
}

/// A topic or a channel as each file of the ledger begins with.
package struct NotedTopic: Hashable, Sendable {
    package var name: TopicName
    package var isPaused: Bool
    package var channels: [NotedChannel]

    package init(name: TopicName, isPaused: Bool, channels: [NotedChannel]) {
        self.name = name
        self.isPaused = isPaused
        self.channels = channels
    }

    package struct NotedChannel: Hashable, Sendable {
        package var name: ChannelName
        package var isPaused: Bool

        package init(name: ChannelName, isPaused: Bool) {
            self.name = name
            self.isPaused = isPaused
        }
    }
}
