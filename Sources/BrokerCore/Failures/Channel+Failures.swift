import NSQWire
import TallyBasics

/// Moves messages to the failed set: those that were delivered as often as the channel's limit permits,
/// and with ``BrokerOptions/keepsExpired`` the expired ones.
extension Channel {
    /// The delay before another attempt to move a message to the failed set.
    private static let failureRetryInterval = Duration.seconds(10)

    /// Returns `true` if a message that waits for a redelivery must be moved to the failed set
    /// instead. If the copy cannot be stored in the failed set, the result is `false`, and the
    /// message is delivered once more.
    ///
    /// - Parameter index: the index of the message in `segment`, which must be in memory.
    @inline(__always)
    func mustFail(_ attempts: UInt16, _ index: Int, of segment: Segment) -> Bool {
        maxAttempts > 0 && Int(attempts) >= maxAttempts && canFail(index, of: segment)
    }

    /// Returns `true` if the failed set accepts messages, and there is memory for the copy of this one
    /// besides those of the messages that fail in the same iteration.
    func canFail(_ index: Int, of segment: Segment) -> Bool {
        guard context.moves.acceptsFailures(at: context.now.monotonic) else { return false }
        let bytes = segment.frame(at: index).count + FailedMessage.maxHeadBytes
        return context.hasMemory(
            for: Segment.byteCount(bodyBytes: bytes) + context.moves.failureBytes)
    }

    /// Moves a message that waits for a redelivery to the failed set of the channel, at the end of the
    /// iteration. Until then it counts as deferred.
    ///
    /// - Parameters:
    ///   - id: the delivery of the message, whose segment is in memory.
    ///   - reason: the reason why it fails.
    func fail(_ id: Int32, _ reason: FailedMessage.Reason) {
        let delivery = deliveries[id]
        deliveries.withdraw(id)
        deliveries.deferWithdrawn(id, until: failureRetryDeadline)
        let segment = segments[delivery.segmentNumber]!.segment
        addFailure(Int(delivery.index), of: segment, reason, attempts: Int(delivery.attempts))
    }

    /// Moves a message that was never delivered, and is no longer ahead of the cursor, to the failed
    /// set, as ``fail(_:_:)`` does.
    func failUndelivered(
        _ index: Int, of channelSegment: ChannelSegment, _ number: Int,
        _ reason: FailedMessage.Reason
    ) {
        let id = deliveries.addDeferred(
            index: index, segmentNumber: number, until: failureRetryDeadline)
        channelSegment.setState(id, of: index)
        addFailure(index, of: channelSegment.segment, reason, attempts: 0)
    }

    private var failureRetryDeadline: Int64 {
        context.now.monotonic + Self.failureRetryInterval.nanoseconds
    }

    private func addFailure(
        _ index: Int, of segment: Segment, _ reason: FailedMessage.Reason, attempts: Int
    ) {
        let frame = segment.frame(at: index)
        let message = FailedMessage(
            topic: topic.name, channel: name, reason: reason, attempts: attempts,
            id: MessageID(segment.serial << 16 | UInt64(index)).text,
            publishedAt: Int(
                frame.bigEndian(at: MessageFrame.timestampOffset, as: Int64.self)),
            failedAt: Int(context.now.wall),
            body: Array(frame.view(MessageFrame.bodyOffset..<frame.count)))
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
