/// The numbers of messages in the processor's channel at nsqd.
package struct ChannelDepth: Sendable, Equatable {
    /// The number of messages that are queued in the channel or in its topic.
    package var depth: Int
    /// The number of messages in flight.
    package var inFlight: Int
    /// The number of deferred messages.
    package var deferred: Int
    /// The time since the oldest message that is queued or in flight was published; `nil` if there
    /// is none or if it is unknown.
    package var oldestAge: Duration?

    package init(depth: Int, inFlight: Int, deferred: Int, oldestAge: Duration? = nil) {
        self.depth = depth
        self.inFlight = inFlight
        self.deferred = deferred
        self.oldestAge = oldestAge
    }
}
