import DequeModule
import NSQWire
import TallyBasics

/// A queue whose unfinished messages can be examined. As in nsqd, a channel's queue contains the
/// messages that it has received and not finished, and a topic's queue those that it has not dispatched
/// to its channels.
enum InspectedQueue {
    case topic(Topic)
    case channel(Channel)

    var topic: Topic {
        switch self {
        case .topic(let topic): topic
        case .channel(let channel): channel.topic
        }
    }

    /// The number of unfinished messages.
    var count: Int {
        switch self {
        case .topic(let topic): topic.depth
        case .channel(let channel):
            channel.depth + channel.deliveries.inFlightCount + channel.deliveries.deferredCount
        }
    }

    /// A snapshot that contains the messages that exist now, and none that are published later.
    var extent: Snapshot {
        let last = topic.segments.all.last
        let counts = topic.segments.tails.map { ($0.serial, $0.count) }
        return Snapshot(
            end: last.map { $0.serial << 16 + UInt64($0.count) } ?? 0,
            tailCounts: Dictionary(uniqueKeysWithValues: counts))
    }

    /// The messages of a queue at one time.
    struct Snapshot {
        /// The number after the last message ID.
        var end: UInt64
        /// The number of messages of each segment to which messages are still appended, by the
        /// segment's serial number.
        var tailCounts: [UInt64: Int]

        /// A snapshot that contains all messages, including those that are published later.
        static let unlimited = Snapshot(end: .max, tailCounts: [:])

        func contains(_ index: Int, serial: UInt64) -> Bool {
            serial << 16 + UInt64(index) < end && index < tailCounts[serial] ?? .max
        }
    }

    /// Returns the first segment of the queue whose serial number is at least `serial`.
    func segment(serialAtLeast serial: UInt64) -> Segment? {
        switch self {
        case .topic(let topic): topic.segments.first(serialAtLeast: serial)
        case .channel(let channel):
            channel.segments.first(serialAtLeast: serial)?.segment
        }
    }

    /// Finds unfinished messages of one segment by their state and number of deliveries.
    ///
    /// - Parameters:
    ///   - start: the index of the first message to examine.
    ///   - limit: the maximum number of found messages.
    ///   - steps: the number of messages that may still be examined; decreased by those examined.
    /// - Returns: the found messages in ascending order, and the index of the next message to examine;
    ///   `nil` at the end of the segment.
    func find(
        in segment: Segment, from start: Int, _ filter: MessageFilter, atMost limit: Int,
        _ steps: inout Int
    ) -> (found: [FoundMessage], next: Int?) {
        switch self {
        case .topic(let topic):
            topic.find(in: segment, from: start, filter, atMost: limit, &steps)
        case .channel(let channel):
            channel.find(in: segment, from: start, filter, atMost: limit, &steps)
        }
    }

    /// Returns the message with this index; `nil` if it is not in the queue.
    func message(at index: Int, of segment: Segment) -> FoundMessage? {
        var steps = 1
        let found = find(in: segment, from: index, MessageFilter(), atMost: 1, &steps).found.first
        return found?.index == index ? found : nil
    }
}

extension Channel {
    /// Finds unfinished messages of one segment; see ``InspectedQueue``.
    fileprivate func find(
        in segment: Segment, from start: Int, _ filter: MessageFilter, atMost limit: Int,
        _ steps: inout Int
    ) -> (found: [FoundMessage], next: Int?) {
        guard let channelSegment = segments[segment] else { return ([], nil) }
        var found: [FoundMessage] = []
        var index = start
        let endOfStates = channelSegment.endOfStates
        let wantsUntouched = !segment.isDeferred && filter.allows(.ready, attempts: 0)
        while index < segment.count, found.count < limit, steps > 0 {
            if index >= endOfStates {
                let rest = segment.firstOrdinal + index..<segment.endOrdinal
                guard wantsUntouched, let next = cursor.firstAhead(in: rest) else {
                    return (found, nil)
                }
                index = next - segment.firstOrdinal
            }
            steps -= 1
            if let message = message(at: index, of: channelSegment),
                filter.allows(message.state.kind, attempts: message.attempts)
            {
                found.append(message)
            }
            index += 1
        }
        return (found, index < segment.count ? index : nil)
    }

    /// Returns the message with this index; `nil` if the channel has not received it, or has settled it.
    private func message(at index: Int, of channelSegment: ChannelSegment) -> FoundMessage? {
        let id = channelSegment.state(of: index)
        let segment = channelSegment.segment
        guard id >= 0 else {
            // A compacted segment does not distinguish settled messages from untouched ones.
            let isAhead =
                id == ChannelSegment.untouched && !segment.isDeferred
                && cursor.isAhead(segment.firstOrdinal + index)
            return isAhead ? FoundMessage(index: index, state: .ready) : nil
        }
        let delivery = deliveries[id]
        let state: FoundMessage.State =
            switch delivery.state {
            case .inFlight: .inFlight(slot: delivery.consumer, deadline: delivery.sortKey)
            case .deferred: .deferred(deadline: delivery.sortKey)
            case .waiting, .free: .ready
            }
        return FoundMessage(index: index, attempts: delivery.attempts, state: state)
    }
}

extension Topic {
    /// Finds undispatched messages of one segment; see ``InspectedQueue``.
    fileprivate func find(
        in segment: Segment, from start: Int, _ filter: MessageFilter, atMost limit: Int,
        _ steps: inout Int
    ) -> (found: [FoundMessage], next: Int?) {
        guard !segment.isDeferred else {
            return findDeferred(in: segment, from: start, filter, atMost: limit, &steps)
        }
        let end = endOfDurable(in: segment)
        let first = max(start, undispatched.dispatchedEnd - segment.firstOrdinal)
        guard filter.allows(.ready, attempts: 0), first < end else { return ([], nil) }
        let next = first + min(end - first, limit, steps)
        steps -= next - first
        let found = (first..<next).map { FoundMessage(index: $0, state: .ready) }
        return (found, next < end ? next : nil)
    }

    private func findDeferred(
        in segment: Segment, from start: Int, _ filter: MessageFilter, atMost limit: Int,
        _ steps: inout Int
    ) -> (found: [FoundMessage], next: Int?) {
        guard filter.allows(.deferred, attempts: 0), segment.undispatchedCount > 0 else {
            return ([], nil)
        }
        let end = endOfDurable(in: segment)
        let deferred = undispatched.deferred
        var position = deferred.partitioningIndex {
            ($0.segment.serial, $0.index) >= (segment.serial, start)
        }
        var found: [FoundMessage] = []
        while position < deferred.count, deferred[position].segment === segment,
            deferred[position].index < end
        {
            let message = deferred[position]
            guard found.count < limit, steps > 0 else { return (found, message.index) }
            found.append(
                FoundMessage(index: message.index, state: .deferred(deadline: message.deadline)))
            position += 1
            steps -= 1
        }
        return (found, nil)
    }

    /// The number of leading messages of the segment that stay in the topic even if the next write
    /// to the log fails. A failed write removes the undurable messages of a durable topic.
    private func endOfDurable(in segment: Segment) -> Int {
        isDurable ? segment.durableCount : segment.count
    }

    /// Calls `body` while the segment's messages are in memory. Messages that were not in memory
    /// before are read first and released afterwards.
    func withResident(_ segment: Segment, _ body: () -> Void) throws(MessageLogError) {
        guard let log else { return body() }
        _ = try log.withResident(segment) {
            body()
            return true
        }
    }
}
