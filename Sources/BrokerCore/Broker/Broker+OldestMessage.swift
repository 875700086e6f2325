import NSQWire
import TallyBasics

extension Broker {
    /// Returns the age of the oldest message that a channel can deliver or has in flight. Deferred
    /// messages are not included.
    ///
    /// The age of a message that is not in memory is measured from the creation of its segment, so
    /// that no file is read.
    ///
    /// - Returns: the time since the message was published; `nil` if there is no such message.
    package func oldestAge(
        of topic: TopicName, _ channel: ChannelName, at now: Timestamp
    ) -> Duration? {
        context.setTime(now)
        guard let oldest = topics[topic]?.channel(channel)?.oldestPublishTime else { return nil }
        let (age, overflow) = now.wall.subtractingReportingOverflow(oldest)
        // The subtraction can overflow, because an imported message can have any timestamp.
        return overflow ? nil : max(.zero, .nanoseconds(age))
    }
}

extension Channel {
    /// The time at which the oldest message that is not deferred was published, in nanoseconds since
    /// 1970.
    fileprivate var oldestPublishTime: Int64? {
        for channelSegment in segments.all {
            guard let index = oldestMessage(of: channelSegment) else { continue }
            let segment = channelSegment.segment
            guard segment.isResident else { return Int64(segment.serial << 16) }
            return segment.frame(at: index)
                .bigEndian(at: MessageFrame.timestampOffset, as: Int64.self)
        }
        return nil
    }

    /// The index of the first message that waits for a delivery or is in flight.
    private func oldestMessage(of channelSegment: ChannelSegment) -> Int? {
        guard channelSegment.unsettledCount > 0 else { return nil }
        let segment = channelSegment.segment
        return (0..<segment.count).first { index in
            switch channelSegment.state(of: index) {
            case ChannelSegment.settled: false
            // The topic has not dispatched the untouched messages of a segment of deferred
            // messages.
            case ChannelSegment.untouched: !segment.isDeferred && segment.contains(index)
            case let id: deliveries[id].state != .deferred
            }
        }
    }
}
