import NSQWire
import TallyBasics

/// Changes of unfinished messages by an administrator. The log records are those of FIN, REQ and
/// redeliveries.
extension Channel {
    /// Finishes a message. A FIN of the consumer that has it in flight fails, as after a timeout.
    func delete(_ message: FoundMessage, of segment: Segment) {
        withdraw(message, of: segment) { channelSegment, number in
            let id = channelSegment.state(of: message.index)
            if id >= 0 { deliveries.finishWithdrawn(id) }
            settleMessage(message.index, in: number)
        }
    }

    /// Makes a message that is in flight or deferred deliverable at once.
    func requeue(_ message: FoundMessage, of segment: Segment) {
        guard message.state.kind != .ready else { return }
        withdraw(message, of: segment) { channelSegment, _ in
            let id = channelSegment.state(of: message.index)
            deliveries.requeueWithdrawn(id, behind: cursor.acceptedCount)
            // A message in flight needs no log record: after a restart, it is deliverable in any
            // case.
            if message.state.kind == .deferred { recordUpdated(id, deferredUntil: 0) }
        }
    }

    func `defer`(_ message: FoundMessage, of segment: Segment, by delay: Duration) {
        guard delay > .zero else { return requeue(message, of: segment) }
        let delay = min(delay, context.options.maxRequeueTimeout).nanoseconds
        let deadline = context.now.monotonic.addingSaturated(delay)
        withdraw(message, of: segment) { channelSegment, number in
            var id = channelSegment.state(of: message.index)
            if id >= 0 {
                deliveries.deferWithdrawn(id, until: deadline)
            } else {
                id = deliveries.addDeferred(
                    index: message.index, segmentNumber: number, until: deadline)
                channelSegment.setState(id, of: message.index)
            }
            recordUpdated(id, deferredUntil: context.now.wall.addingSaturated(delay))
        }
    }

    /// Removes a message from its position in the queue, and calls `change` with the channel's
    /// state of the segment and the segment's number.
    private func withdraw(
        _ message: FoundMessage, of segment: Segment, _ change: (ChannelSegment, Int) -> Void
    ) {
        guard let number = segments.number(serial: segment.serial),
            let channelSegment = segments[number]
        else { return }
        let id = channelSegment.state(of: message.index)
        if id >= 0 {
            let slot = deliveries[id].consumer
            deliveries.withdraw(id)
            if message.state.kind == .inFlight { consumers[slot]?.didRequeueUnanswered() }
        } else {
            _ = cursor.skip(segment.firstOrdinal + message.index)
        }
        change(channelSegment, number)
        context.pending.add(self)
    }
}
