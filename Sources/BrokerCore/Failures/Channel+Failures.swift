import NSQWire
import TallyBasics

/// Moves messages that were delivered as often as the channel's limit permits to the failed set.
extension Channel {
    /// The delay before another attempt to move a message to the failed set.
    private static let failureRetryInterval = Duration.seconds(10)

    /// Returns `true` if a message that waits for a redelivery must be moved to the failed set
    /// instead. If there is no memory for the copy in the failed set, the result is `false`, and
    /// the message is delivered once more.
    ///
    /// - Parameter index: the index of the message in `segment`, which must be in memory.
    @inline(__always)
    func mustFail(_ attempts: UInt16, _ index: Int, of segment: Segment) -> Bool {
        maxAttempts > 0 && Int(attempts) >= maxAttempts && hasMemoryForCopy(index, of: segment)
    }

    private func hasMemoryForCopy(_ index: Int, of segment: Segment) -> Bool {
        context.hasMemory(
            for: Segment.byteCount(
                bodyBytes: segment.frame(at: index).count + FailedMessage.maxHeadBytes))
    }

    /// Moves a message that waits for a redelivery to the failed set of the channel, at the end of the
    /// iteration. Until then it counts as deferred.
    ///
    /// - Parameter id: the delivery of the message, whose segment is in memory.
    func fail(_ id: Int32) {
        let delivery = deliveries[id]
        let index = Int(delivery.index)
        let segment = segments[delivery.segmentNumber]!.segment
        let frame = segment.frame(at: index)
        let message = FailedMessage(
            topic: topic.name, channel: name, attempts: Int(delivery.attempts),
            id: MessageID(segment.serial << 16 | UInt64(index)).text,
            publishedAt: Int(
                frame.bigEndian(at: MessageFrame.timestampOffset, as: Int64.self)),
            failedAt: Int(context.now.wall),
            body: Array(frame.view(MessageFrame.bodyOffset..<frame.count)))
        deliveries.withdraw(id)
        deliveries.deferWithdrawn(
            id, until: context.now.monotonic + Self.failureRetryInterval.nanoseconds)
        context.budget.deliveries.charge(WorkCost.bytes(frame.count))
        context.moves.addFailure(
            message, from: FailedSetMoves.Source(channel: self, segment: segment, index: index))
    }

    /// The indexes of a segment's messages that are neither finished nor in flight; `nil` if the channel
    /// does not need the segment.
    func undeliveredIndexes(of segment: Segment) -> [Int]? {
        guard let channelSegment = segments[segment] else { return nil }
        return (0..<segment.count).filter { handOverDeadline(of: $0, in: channelSegment) != nil }
    }
}
