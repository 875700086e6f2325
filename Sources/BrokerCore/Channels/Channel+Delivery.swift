import NSQWire
import TallyBasics

/// DeliveryEntry of messages to the consumers that are ready, in rotation.
extension Channel {
    /// Delivers messages until the queue is empty or no consumer is ready, and schedules the
    /// channel's timer. Deliveries beyond `limit` are postponed to the next iteration.
    ///
    /// - Parameter limit: the maximum number of steps.
    func deliver(atMost limit: Int) {
        guard !isDeleted else { return }
        var steps = 1
        defer {
            context.budget.deliveries.charge(steps)
            scheduleTimer()
        }
        guard !isPaused, consumers.count > 0 else { return }
        var refusals = 0
        var leftInRound = 0
        var quota = 0
        while depth > 0, refusals < consumers.slotCount {
            guard steps <= limit else { return context.pending.add(self) }
            if leftInRound == 0 {
                leftInRound = consumers.slotCount
                quota = fairQuota
            }
            leftInRound -= 1
            let session = consumers.next()
            let capacity =
                session?.deliveryCapacity(unsentLimit: context.options.maxUnsentBytes) ?? 0
            guard let session, capacity > 0 else {
                refusals += 1
                continue
            }
            refusals = 0
            let unsentBytes = session.backlogBytes
            var left = min(capacity, quota, limit)
            steps += left
            let isReadable = deliver(to: session, left: &left)
            steps += WorkCost.bytes(session.backlogBytes - unsentBytes) - left
            context.pending.add(session)
            guard isReadable else {
                let retry = context.now.monotonic + Self.readRetryInterval.nanoseconds
                return scheduleTimer(retry)
            }
        }
    }

    /// The delay between a failed read from the message log and the next attempt.
    private static let readRetryInterval = Duration.seconds(1)

    /// The maximum number of messages that each consumer receives in one round of the rotation.
    private var fairQuota: Int {
        consumers.count == 1 ? .max : min(256, max(1, depth / consumers.count))
    }

    /// Delivers messages to one consumer until `left` messages are delivered, the queue is empty, or
    /// the session has ``BrokerOptions/maxUnsentBytes`` to send.
    ///
    /// - Parameter left: the maximum number of messages; decreased by the number of messages that the
    ///   channel's queue no longer contains.
    /// - Returns: `false` if the next message cannot be read from the message log now.
    private func deliver(to session: Session, left: inout Int) -> Bool {
        while left > 0, session.backlogBytes < context.options.maxUnsentBytes {
            let waiting = deliveries.firstWaiting
            // Messages that entered the queue before the redelivery are delivered before it.
            let before =
                waiting.map { Int(deliveries[$0].sortKey - cursor.passedCount) } ?? .max
            if let waiting, cursor.ahead.isEmpty || before <= 0 {
                guard makeResident(segments[deliveries[waiting].segmentNumber]!.segment) else {
                    return false
                }
                redeliver(waiting, to: session)
                left -= 1
            } else if !cursor.ahead.isEmpty {
                guard let (number, channelSegment) = cursor.locate(in: segments) else {
                    cursor.removeUnlocated(in: segments)
                    left -= 1
                    continue
                }
                let segment = channelSegment.segment
                guard segment.isResident else {
                    guard makeResident(segment) else { return false }
                    continue
                }
                let first = cursor.firstRange.lowerBound - segment.firstOrdinal
                if let gap = segment.gap(at: first) {
                    lose(gap, of: segment)
                    continue
                }
                left -= deliverRun(
                    of: channelSegment, number, to: session, atMost: min(left, before))
            } else {
                break
            }
        }
        return true
    }

    /// Returns `true` if the segment's messages are in memory or could be read from the message
    /// log.
    @inline(__always)
    private func makeResident(_ segment: Segment) -> Bool {
        segment.isResident || topic.pageIn(segment)
    }

    private func redeliver(_ id: Int32, to session: Session) {
        let delivery = deliveries[id]
        let index = Int(delivery.index)
        let segment = segments[delivery.segmentNumber]!.segment
        if !segment.contains(index) || isSampledOut(session) {
            deliveries.removeWaiting(id)
            return settleMessage(index, in: delivery.segmentNumber)
        }
        let attempts = deliveries.restart(
            id, to: session.subscription.slot, timeout: session.settings.messageTimeout,
            at: context.now.monotonic)
        session.outbox.append(redelivery: segment.frame(at: index), attempts: attempts)
        recordUpdated(id, deferredUntil: 0)
        session.didDeliver(1)
    }

    /// Delivers consecutive messages of one segment from the cursor on.
    ///
    /// - Parameters:
    ///   - number: the number of the segment in the channel.
    ///   - limit: the maximum number of messages.
    /// - Returns: the number of messages by which the cursor has advanced.
    private func deliverRun(
        of channelSegment: ChannelSegment, _ number: Int, to session: Session, atMost limit: Int
    ) -> Int {
        let ahead = cursor.firstRange
        let segment = channelSegment.segment
        let start = ahead.lowerBound - segment.firstOrdinal
        let indexes =
            start..<min(
                start + limit, segment.endOfRun(from: start),
                ahead.upperBound - segment.firstOrdinal)
        let end = segment.end(
            of: indexes, within: context.options.maxUnsentBytes - session.backlogBytes)
        cursor.advance(to: segment.firstOrdinal + end)
        if session.settings.sampleRate > 0 {
            deliverSample(start..<end, of: channelSegment, number, to: session)
        } else {
            deliverAll(start..<end, of: channelSegment, number, to: session)
        }
        return end - start
    }

    /// Starts a delivery of each message, and appends all messages to the outbox as one byte range.
    private func deliverAll(
        _ indexes: Range<Int>, of channelSegment: ChannelSegment, _ number: Int,
        to session: Session
    ) {
        deliveries.start(
            indexes, of: channelSegment, number: number, to: session.subscription.slot,
            timeout: session.settings.messageTimeout, at: context.now.monotonic)
        let segment = channelSegment.segment
        session.outbox.append(segment.slab, segment.byteRange(of: indexes))
        recordDelivered(indexes, of: segment)
        session.didDeliver(indexes.count)
    }

    /// Delivers a random sample of the messages, and settles the others.
    private func deliverSample(
        _ indexes: Range<Int>, of channelSegment: ChannelSegment, _ number: Int,
        to session: Session
    ) {
        var skippedCount = 0
        for index in indexes {
            if isSampledOut(session) {
                channelSegment.setState(ChannelSegment.settled, of: index)
                recordFinished(index..<index + 1, of: channelSegment.segment)
                skippedCount += 1
            } else {
                deliverAll(index..<index + 1, of: channelSegment, number, to: session)
            }
        }
        settle(skippedCount, in: number)
    }

    /// Returns `true` if sampling excludes the next message for this consumer. As in nsqd, the
    /// channel then discards the message.
    private func isSampledOut(_ session: Session) -> Bool {
        let sampleRate = session.settings.sampleRate
        return sampleRate > 0 && context.randomPercent() > sampleRate
    }
}
