import DequeModule
import TallyBasics

/// Recovery of a channel from the message log. ``DeliveryTracker`` describes the state of
/// deliveries before ``endRecovery()``.
extension Channel {
    /// Adds a recovered segment. A relocated segment can be older than the segments added before
    /// it.
    ///
    /// The insertion of a segment changes the numbers of all later segments. Deliveries therefore
    /// receive the numbers of their segments in ``endRecovery()``.
    func addRecovered(_ segment: Segment) { segments.insertRecovered(segment) }

    /// Replays FINs: settles the messages.
    func recoverFinished(_ run: MessageRun) {
        guard let segment = segments.number(serial: run.serial).flatMap({ segments[$0] }) else {
            return
        }
        dispatchRecovered(run.indexes, segment)
        for index in run.indexes where index < segment.segment.count {
            let state = segment.state(of: index)
            guard state != ChannelSegment.settled else { continue }
            if state >= 0 { deliveries.removeRecovered(state) }
            segment.setState(ChannelSegment.settled, of: index)
        }
    }

    /// Replays first deliveries: the messages wait for a redelivery.
    func recoverFirstDeliveries(_ run: MessageRun) {
        guard let number = segments.number(serial: run.serial), let segment = segments[number]
        else { return }
        dispatchRecovered(run.indexes, segment)
        for index in run.indexes where index < segment.segment.count {
            guard segment.state(of: index) == ChannelSegment.untouched else { continue }
            let id = deliveries.recover(index: index, segmentNumber: number, attempts: 1)
            segment.setState(id, of: index)
        }
    }

    /// Replays the number of attempts and the deferral of one message.
    ///
    /// - Parameter writtenAt: the time of the record on the wall clock, in nanoseconds; `nil` if it
    ///   is not known.
    func recover(_ record: DeliveryRecord, writtenAt: Int64?) {
        guard let number = segments.number(serial: record.serial), let segment = segments[number],
            record.index < segment.segment.count
        else { return }
        dispatchRecovered(record.index..<record.index + 1, segment)
        var id = segment.state(of: record.index)
        guard id != ChannelSegment.settled else { return }
        if id < 0 {
            id = deliveries.recover(index: record.index, segmentNumber: number, attempts: 0)
            segment.setState(id, of: record.index)
        }
        let deadline =
            record.due == 0
            ? nil : context.monotonic(atEndOfDeferral: record.due, startedAt: writtenAt)
        deliveries.updateRecovered(id, attempts: record.attempts, deferredUntil: deadline)
    }

    /// Dispatches messages for which a record of this channel exists. Such a record proves that the
    /// topic dispatched the messages, even if the record of the dispatch is lost.
    private func dispatchRecovered(_ indexes: Range<Int>, _ channelSegment: ChannelSegment) {
        let segment = channelSegment.segment
        guard segment.isDeferred else {
            let end = min(indexes.upperBound, segment.count)
            return topic.dispatch(upTo: segment.firstOrdinal + end)
        }
        guard segment.undispatchedCount > 0,
            indexes.contains(where: { channelSegment.state(of: $0) == ChannelSegment.untouched })
        else { return }
        topic.dispatchRecoveredDeferred(indexes, in: segment)
    }

    /// Ends the recovery of the channel: inserts deliveries into their lists, and moves the cursor
    /// to the first message that was not delivered.
    func endRecovery() {
        let ahead = cursor.ahead.sorted { $0.lowerBound < $1.lowerBound }
        cursor.restart(at: untouched(in: ahead))
        countSettledRecovered()
        deliveries.endRecovery()
        endRecoveryOfCounts()
        context.pending.add(self)
    }

    /// Returns the ordinals of messages that the channel has neither delivered nor settled.
    ///
    /// - Parameters:
    ///   - ranges: the ordinals to search, in ascending order.
    ///   - includesMissing: `true` includes messages whose records were not found in the log.
    func untouched(
        in ranges: [Range<Int>], includesMissing: Bool = false
    ) -> Deque<Range<Int>> {
        var found = Deque<Range<Int>>()
        var first = 0
        for channelSegment in segments.all where !channelSegment.segment.isDeferred {
            let ordinals = channelSegment.segment.ordinals
            while first < ranges.count, ranges[first].upperBound <= ordinals.lowerBound {
                first += 1
            }
            for range in ranges[first...].prefix(while: { $0.lowerBound < ordinals.upperBound }) {
                found.append(
                    untouched: range.clamped(to: ordinals), of: channelSegment, includesMissing)
            }
        }
        return found
    }

    /// Computes the number of settled messages of each segment. All messages are settled except
    /// messages ahead of the cursor, messages with a delivery, and undispatched messages. Sets the
    /// segment number of each delivery.
    private func countSettledRecovered() {
        // Messages that are missing in the log count as settled only when the channel fails to read
        // them.
        let undispatched = untouched(in: [topic.undispatched.ordinals], includesMissing: true)
        for number in segments.numbers {
            guard let channelSegment = segments[number] else { continue }
            let segment = channelSegment.segment
            let dispatchedLater =
                segment.isDeferred
                ? segment.undispatchedCount : undispatched.count(in: segment.ordinals)
            let ahead = segment.isDeferred ? 0 : cursor.ahead.count(in: segment.ordinals)
            let delivered = channelSegment.deliveredIndexes
            for index in delivered {
                deliveries.setSegmentNumber(number, of: channelSegment.state(of: index))
            }
            channelSegment.recoverSettledCount(
                segment.count - dispatchedLater - ahead - delivered.count)
        }
        for number in segments.numbers where number >= segments.firstNumber {
            releaseIfDone(number)
        }
    }
}

extension Deque<Range<Int>> {
    /// The number of ordinals in `range` that this collection's ranges contain, which must be
    /// ascending.
    fileprivate func count(in range: Range<Int>) -> Int {
        self[partitioningIndex { $0.upperBound > range.lowerBound }...]
            .prefix { $0.lowerBound < range.upperBound }
            .reduce(0) { $0 + $1.clamped(to: range).count }
    }

    /// Appends the ordinals of messages that the channel has neither delivered nor settled.
    fileprivate mutating func append(
        untouched ordinals: Range<Int>, of channelSegment: ChannelSegment, _ includesMissing: Bool
    ) {
        guard !ordinals.isEmpty else { return }
        let segment = channelSegment.segment
        guard !channelSegment.isComplete || !segment.missing.isEmpty else {
            return join(ordinals)
        }
        for ordinal in ordinals {
            let index = ordinal - segment.firstOrdinal
            guard channelSegment.state(of: index) == ChannelSegment.untouched,
                includesMissing || !segment.isMissing(index)
            else { continue }
            join(ordinal..<ordinal + 1)
        }
    }

    /// Appends a range of ordinals, merged with the last range if the two overlap or touch. The
    /// ranges must be in ascending order.
    private mutating func join(_ ordinals: Range<Int>) {
        guard let last, ordinals.lowerBound <= last.upperBound else { return append(ordinals) }
        self[count - 1] = last.lowerBound..<Swift.max(last.upperBound, ordinals.upperBound)
    }
}
