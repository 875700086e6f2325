import NSQWire
import TallyBasics

/// The expiry of messages that are older than the lifetime of their topic. Messages in flight do not
/// expire.
///
/// The age of a message is the wall clock time minus the time of its publish. Messages expire
/// earlier if the clock is set forward, and later if it is set back. A message whose publish time
/// is in the future does not expire.
extension Channel {
    /// Returns `true` if a message is older than the lifetime of the topic.
    ///
    /// - Parameter index: the index of the message in `segment`, which must be in memory.
    @inline(__always)
    func isExpired(_ index: Int, of segment: Segment) -> Bool {
        topic.lifetime > 0 && isOlder(index, of: segment)
    }

    /// `true` if expired messages are moved to the failed set of the channel, and `false` if they are
    /// lost.
    var keepsExpired: Bool {
        context.options.keepsExpired && !topic.name.isEphemeral && !name.isEphemeral
            && !topic.name.isFailedSet
    }

    /// If the copy cannot be stored in the failed set, the message does not expire.
    private func isOlder(_ index: Int, of segment: Segment) -> Bool {
        let published = segment.frame(at: index)
            .bigEndian(at: MessageFrame.timestampOffset, as: Int64.self)
        // An imported message can have any timestamp.
        return context.now.wall.subtractingSaturated(published) > topic.lifetime
            && (!keepsExpired || canFail(index, of: segment))
    }

    /// Settles the expired messages at the cursor, or moves them to the failed set.
    ///
    /// - Parameters:
    ///   - channelSegment: the segment of the first message ahead of the cursor, which must be in memory.
    ///   - number: the number of the segment in the channel.
    ///   - limit: the maximum number of messages to examine.
    /// - Returns: the number of messages that have left the queue; 0 if the first message has not
    ///   expired, or if no more messages may fail in this iteration.
    func expireRun(of channelSegment: ChannelSegment, _ number: Int, atMost limit: Int) -> Int {
        let segment = channelSegment.segment
        let indexes = headIndexes(of: segment)
        let end = min(indexes.lowerBound + limit, indexes.upperBound)
        let fresh = (indexes.lowerBound..<end).first { !isOlder($0, of: segment) } ?? end
        let expired = indexes.lowerBound..<fresh
        guard keepsExpired else { return expire(expired, of: channelSegment, number) }
        for index in expired {
            guard !context.moves.isFull else { return index - expired.lowerBound }
            cursor.advance(to: segment.firstOrdinal + index + 1)
            failUndelivered(index, of: channelSegment, number, .expired)
        }
        return expired.count
    }

    /// Returns the number of messages at the cursor that precede the next expired message.
    func freshCount(of segment: Segment, atMost limit: Int) -> Int {
        let indexes = headIndexes(of: segment).prefix(limit)
        return indexes.firstIndex { isOlder($0, of: segment) }.map { $0 - indexes.startIndex }
            ?? indexes.count
    }

    /// The indexes of the consecutive messages from the cursor on.
    private func headIndexes(of segment: Segment) -> Range<Int> {
        let ahead = cursor.firstRange
        let start = ahead.lowerBound - segment.firstOrdinal
        return start..<min(segment.endOfRun(from: start), ahead.upperBound - segment.firstOrdinal)
    }

    /// Settles messages at the cursor as expired.
    ///
    /// - Returns: the number of messages.
    private func expire(
        _ indexes: Range<Int>, of channelSegment: ChannelSegment, _ number: Int
    ) -> Int {
        guard !indexes.isEmpty else { return 0 }
        cursor.advance(to: channelSegment.segment.firstOrdinal + indexes.upperBound)
        for index in indexes { channelSegment.setState(ChannelSegment.settled, of: index) }
        recordFinished(indexes, of: channelSegment.segment)
        didExpire(indexes.count)
        settle(indexes.count, in: number)
        return indexes.count
    }

    /// Settles expired messages at the cursor without reading the message log. Segments in memory
    /// are checked message by message. Other segments are settled only if all their messages have
    /// expired and are not kept.
    ///
    /// - Parameter limit: the maximum number of messages.
    /// - Returns: the number of settled messages.
    func expireHead(atMost limit: Int) -> Int {
        guard topic.lifetime > 0, !isDeleted else { return 0 }
        var count = 0
        while count < limit, !cursor.ahead.isEmpty,
            let (number, channelSegment) = cursor.locate(in: segments)
        {
            let segment = channelSegment.segment
            let start = cursor.firstRange.lowerBound - segment.firstOrdinal
            let expired: Int
            if !segment.isResident {
                guard !keepsExpired, topic.isExpired(segment) else { break }
                let end = min(segment.endOrdinal, cursor.firstRange.upperBound)
                expired = expire(start..<end - segment.firstOrdinal, of: channelSegment, number)
            } else {
                guard segment.gap(at: start) == nil else { break }
                expired = expireRun(of: channelSegment, number, atMost: limit - count)
            }
            guard expired > 0 else { break }
            count += expired
        }
        return count
    }
}

extension Topic {
    /// Returns `true` if all messages of a segment are older than the lifetime. The method does not
    /// read the messages: all of them were published before the next segment was created, so it
    /// compares the lifetime with the age of the next segment.
    fileprivate func isExpired(_ segment: Segment) -> Bool {
        var serial = segment.serial
        while let next = segments.first(serialAtLeast: serial + 1) {
            guard next.isDeferred else {
                let created = Int64(bitPattern: next.serial << 16)
                return context.now.wall.subtractingSaturated(created) > lifetime
            }
            serial = next.serial
        }
        return false
    }
}
