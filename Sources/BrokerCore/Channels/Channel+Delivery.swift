import NSQWire
import TallyBasics

/// Delivery of messages to the consumers that are ready, in rotation.
extension Channel {
    /// Delivers messages until the queue is empty or no consumer is ready, and schedules the
    /// channel's timer. Deliveries beyond `limit` are postponed to the next iteration.
    ///
    /// - Parameter limit: the maximum number of steps.
    func deliver(atMost limit: Int) {
        guard !isDeleted else { return }
        var steps = 1
        var reader = SegmentReader(topic)
        defer {
            reader.end()
            context.budget.deliveries.charge(steps)
            scheduleTimer()
        }
        guard !isPaused, consumers.count > 0, !topic.suspendsDeliveries || name.isEphemeral else {
            return
        }
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
            let unsentBytes = session.backlogBytes
            var left = min(capacity, quota, limit)
            steps += left
            let result = deliver(to: session, left: &left, &reader)
            steps += WorkCost.bytes(session.backlogBytes - unsentBytes) - left
            context.pending.add(session)
            switch result {
            case .isReadable: refusals = 0
            case .needsEmptyOutbox:
                session.holdBack()
                refusals += 1
            case .needsNextIteration: return context.pending.add(self)
            case .isUnreadable:
                return scheduleTimer(
                    context.now.monotonic + Self.readRetryInterval.nanoseconds)
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
    /// - Parameter left: the maximum number of messages; decreased by the number of messages that
    ///   have left the channel's queue.
    /// - Returns: the reason why the next message cannot be read from the message log for this
    ///   consumer now; `isReadable` without such a reason.
    private func deliver(
        to session: Session, left: inout Int, _ reader: inout SegmentReader
    ) -> SegmentReader.Result {
        while left > 0, session.backlogBytes < context.options.maxUnsentBytes {
            guard !context.moves.isFull else { return .needsNextIteration }
            let waiting = deliveries.firstWaiting
            // Messages that entered the queue before a requeued message are delivered before it.
            let before =
                waiting.map { Int(deliveries[$0].sortKey - cursor.passedCount) } ?? .max
            if let waiting, cursor.ahead.isEmpty || before <= 0 {
                let segment = segments[deliveries[waiting].segmentNumber]!.segment
                let result = reader.read(segment, for: session)
                guard result == .isReadable else { return result }
                redeliver(waiting, to: session)
                left -= 1
            } else if !cursor.ahead.isEmpty {
                guard let (number, channelSegment) = cursor.locate(in: segments) else {
                    cursor.removeUnlocated(in: segments)
                    left -= 1
                    continue
                }
                let segment = channelSegment.segment
                let wasResident = segment.isResident
                let result = reader.read(segment, for: session)
                guard result == .isReadable else { return result }
                // Reading the segment may have removed lost messages from the queue, and so moved the
                // cursor.
                guard wasResident else { continue }
                let first = cursor.firstRange.lowerBound - segment.firstOrdinal
                if let gap = segment.gap(at: first) {
                    lose(gap, of: segment)
                    continue
                }
                var limit = min(left, before)
                if topic.lifetime > 0 {
                    let expired = expireRun(of: channelSegment, number, atMost: limit)
                    guard expired == 0 else {
                        left -= expired
                        continue
                    }
                    limit = freshCount(of: segment, atMost: limit)
                }
                left -= deliverRun(
                    of: channelSegment, number, to: session, atMost: limit,
                    isCopied: reader.mustCopy(segment))
            } else {
                break
            }
        }
        return .isReadable
    }

    private func redeliver(_ id: Int32, to session: Session) {
        let delivery = deliveries[id]
        let index = Int(delivery.index)
        let segment = segments[delivery.segmentNumber]!.segment
        let isExpired = segment.contains(index) && isExpired(index, of: segment)
        if isExpired {
            guard !keepsExpired else { return fail(id, .expired) }
            didExpire(1)
        }
        if isExpired || !segment.contains(index) || isSampledOut(session) {
            deliveries.removeWithoutRedelivery(id)
            return settleMessage(index, in: delivery.segmentNumber)
        }
        guard !mustFail(delivery.attempts, index, of: segment) else { return fail(id, .attempts) }
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
    ///   - isCopied: `true` copies the messages to the outbox.
    /// - Returns: the number of messages by which the cursor has advanced.
    private func deliverRun(
        of channelSegment: ChannelSegment, _ number: Int, to session: Session, atMost limit: Int,
        isCopied: Bool
    ) -> Int {
        let ahead = cursor.firstRange
        let segment = channelSegment.segment
        let start = ahead.lowerBound - segment.firstOrdinal
        let indexes =
            start..<min(
                start + limit, segment.endOfRun(from: start),
                ahead.upperBound - segment.firstOrdinal)
        let maxUnsentBytes = context.options.maxUnsentBytes
        let unsentLimit =
            isCopied ? min(SegmentReader.maxUnsentBytes, maxUnsentBytes) : maxUnsentBytes
        let end = segment.end(of: indexes, within: unsentLimit - session.backlogBytes)
        cursor.advance(to: segment.firstOrdinal + end)
        if session.settings.sampleRate > 0 {
            deliverSample(start..<end, of: channelSegment, number, to: session, isCopied)
        } else {
            deliverAll(start..<end, of: channelSegment, number, to: session, isCopied)
        }
        return end - start
    }

    /// Starts a delivery of each message, and appends all messages to the outbox as one byte range.
    private func deliverAll(
        _ indexes: Range<Int>, of channelSegment: ChannelSegment, _ number: Int,
        to session: Session, _ isCopied: Bool
    ) {
        deliveries.start(
            indexes, of: channelSegment, number: number, to: session.subscription.slot,
            timeout: session.settings.messageTimeout, at: context.now.monotonic)
        let segment = channelSegment.segment
        if isCopied {
            session.outbox.append(segment.frames(of: indexes))
        } else {
            session.outbox.append(segment.slab, segment.byteRange(of: indexes))
        }
        recordDelivered(indexes, of: segment)
        session.didDeliver(indexes.count)
    }

    /// Delivers a random sample of the messages, and settles the other messages.
    private func deliverSample(
        _ indexes: Range<Int>, of channelSegment: ChannelSegment, _ number: Int,
        to session: Session, _ isCopied: Bool
    ) {
        var skippedCount = 0
        for index in indexes {
            if isSampledOut(session) {
                channelSegment.setState(ChannelSegment.settled, of: index)
                recordFinished(index..<index + 1, of: channelSegment.segment)
                skippedCount += 1
            } else {
                deliverAll(index..<index + 1, of: channelSegment, number, to: session, isCopied)
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
