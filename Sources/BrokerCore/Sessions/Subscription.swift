/// A session's subscription: its channel, its RDY count and its message counters.
struct Subscription {
    private(set) var channel: Channel?
    /// The consumer's slot in the channel.
    private(set) var slot: Int32 = -1
    /// The maximum number of messages in flight to the consumer, as set by RDY.
    private(set) var readyCount = 0
    private(set) var inFlightCount = 0
    /// `true` if the consumer received fewer messages than its RDY count allows, because its socket
    /// buffer and outbox are full.
    private(set) var isHeldBack = false

    private(set) var deliveredCount = 0
    private(set) var finishCount = 0
    private(set) var requeueCount = 0

    mutating func begin(_ channel: Channel, slot: Int32) {
        self.channel = channel
        self.slot = slot
    }

    /// Ends the subscription. The counters keep their values.
    mutating func end() { channel = nil }

    mutating func setReady(_ count: Int) { readyCount = count }

    mutating func setHeldBack(_ isHeldBack: Bool) { self.isHeldBack = isHeldBack }

    @inline(__always)
    mutating func didDeliver(_ count: Int) {
        inFlightCount += count
        deliveredCount += count
    }

    @inline(__always)
    mutating func didFinish(_ count: Int) {
        inFlightCount -= count
        finishCount += count
    }

    mutating func didRequeue() {
        inFlightCount -= 1
        requeueCount += 1
    }

    /// Counts a message that is no longer in flight, because it timed out or the consumer
    /// disconnected.
    mutating func didRequeueUnanswered() { inFlightCount -= 1 }

    /// Resets the number of messages in flight after all messages of the channel were discarded.
    mutating func didEmpty() { inFlightCount = 0 }
}
