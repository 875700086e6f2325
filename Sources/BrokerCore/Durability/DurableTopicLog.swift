import NSQWire
import TallyBasics

/// The part of the message log that belongs to one topic. The type appends the topic's messages,
/// reads messages back, and decides which segments stay in memory.
final class DurableTopicLog {
    private let topic: TopicName
    private let messageLog: any MessageLog
    private let context: BrokerContext
    /// The ordinal after the topic's last durable message.
    private(set) var durableEnd: Int
    /// The topic's message counts at the time of the last flush.
    private var flushedCounts = MessageCounts()
    /// The segments that were sealed since the last flush and contain messages that the log does not
    /// contain.
    private var sealedUnflushed: [Segment] = []
    private var residents = ResidentSegments()

    init(
        topic: TopicName, messageLog: any MessageLog, firstOrdinal: Int, _ context: BrokerContext
    ) {
        self.topic = topic
        self.messageLog = messageLog
        self.context = context
        durableEnd = firstOrdinal
    }

    // MARK: Appending

    /// Appends the messages that were published since the last flush.
    ///
    /// - Parameters:
    ///   - tails: the segments to which the topic appends messages, in the order of their serial
    ///     numbers.
    ///   - counts: the topic's current message counts.
    ///   - deadlines: the deadlines of the new deferred messages on the monotonic clock in
    ///     nanoseconds, in the order in which the messages were published.
    func append(_ tails: [Segment], _ counts: MessageCounts, deadlines: [Int64]) {
        guard counts != flushedCounts else { return }
        context.log.requestFlush()
        var deadlines = deadlines[...]
        for segment in unflushed(tails) {
            let indexes = segment.durableCount..<segment.count
            var kind = MessageRecordKind.published
            if segment.isDeferred {
                kind = .deferred(
                    deadlines.prefix(indexes.count).map(context.wall(atMonotonic:)))
                deadlines = deadlines.dropFirst(indexes.count)
            }
            messageLog.append(indexes, of: segment, in: topic, as: kind)
        }
    }

    /// Returns the segments that contain messages published since the last flush, in the order of
    /// their serial numbers.
    private func unflushed(_ tails: [Segment]) -> [Segment] {
        (sealedUnflushed + tails).filter { !$0.isDurable }.sorted { $0.serial < $1.serial }
    }

    /// Marks all messages as durable after a successful flush.
    ///
    /// - Parameters:
    ///   - tails: the segments to which the topic appends messages.
    ///   - counts: the topic's current message counts.
    ///   - publishedEnd: the ordinal after the last published message.
    /// - Returns: `true` if the flush has written new messages of the topic.
    func didFlush(
        _ tails: [Segment], _ counts: MessageCounts, publishedEnd: Int
    ) -> Bool {
        guard counts != flushedCounts else { return false }
        for segment in unflushed(tails) { segment.markDurable() }
        sealedUnflushed = []
        durableEnd = publishedEnd
        flushedCounts = counts
        return true
    }

    /// Returns the segments whose new messages the log has failed to write, in the order of their
    /// serial numbers.
    ///
    /// - Parameters:
    ///   - tails: the segments to which the topic appends messages.
    ///   - counts: the topic's message counts; reset to their values at the last successful flush.
    func rollBack(_ tails: [Segment], _ counts: inout MessageCounts) -> [Segment] {
        guard counts != flushedCounts else { return [] }
        defer {
            counts = flushedCounts
            sealedUnflushed = []
        }
        return unflushed(tails)
    }

    /// Appends messages that the log already contains, so that the log can release their old
    /// records.
    func append(_ indexes: Range<Int>, of segment: Segment, as kind: MessageRecordKind) {
        messageLog.append(indexes, of: segment, in: topic, as: kind)
    }

    func recoverPublished(upTo end: Int) { durableEnd = max(durableEnd, end) }

    // MARK: Memory

    func didSeal(_ segment: Segment) {
        if segment.isResident { residents.insert(segment) }
        if !segment.isDurable { sealedUnflushed.append(segment) }
    }

    /// Releases the memory of segments that no channel reads soon, until the segments in memory
    /// contain at most `--mem-queue-size` messages.
    ///
    /// - Parameter isFarAhead: a closure that returns `true` if no channel reads the segment soon.
    func trimMemory(_ isFarAhead: (Segment) -> Bool) {
        residents.trim(toMessages: context.options.memoryQueueSize) { segment in
            guard !segment.isDeferred, segment.isDurable, isFarAhead(segment) else { return false }
            segment.pageOut(context.slabs)
            return true
        }
    }

    /// Reads a segment's messages from the log into memory.
    ///
    /// - Returns: the indexes of lost messages; `nil` if the log cannot be read now.
    func pageIn(_ segment: Segment) -> [Range<Int>]? {
        do throws(MessageLogError) {
            let gaps = try segment.pageIn(from: messageLog, context.slabs)
            if segment.isSealed { residents.insert(segment) }
            return gaps
        } catch {
            context.events.append(.messagesUnreadable(topic, error))
            return nil
        }
    }

    /// Releases the memory of a segment that was read from the log.
    func pageOut(_ segment: Segment) {
        residents.remove(segment)
        segment.pageOut(context.slabs)
    }

    /// Calls `body` while the segment's messages are in memory. Messages that were not in memory
    /// before are read first and released afterwards.
    ///
    /// - Returns: the result of `body`.
    func withResident(
        _ segment: Segment, _ body: () -> Bool
    ) throws(MessageLogError) -> Bool {
        guard !segment.isResident else { return body() }
        _ = try segment.pageIn(from: messageLog, context.slabs)
        defer { segment.pageOut(context.slabs) }
        return body()
    }

    /// Releases a segment whose messages are no longer needed.
    func release(_ segment: Segment) {
        messageLog.release(segment)
        residents.remove(segment)
    }
}

/// The number of messages published to a topic since the broker's start, and the bytes of their
/// bodies.
struct MessageCounts: Equatable {
    var messages = 0
    var bytes = 0
}
