/// The delivery state of one message in a channel, from its first delivery or its deferral until
/// its FIN.
struct DeliveryEntry {
    enum State: UInt8 {
        case free
        /// The message was sent to a consumer, and times out at `sortKey`.
        case inFlight
        /// The message waits for a redelivery. `sortKey` is the message's position in the queue: the
        /// number of messages that the cursor passes before the redelivery.
        case waiting
        /// The message is deferred until `sortKey`.
        case deferred
    }

    var state = State.free
    var attempts: UInt16 = 0
    /// The message's index in its segment.
    var index: UInt16 = 0
    /// The number of the segment in ``ChannelSegmentTable``.
    var segmentNumber = 0
    /// The slot of the consumer in ``ConsumerRotation``.
    var consumer: Int32 = 0
    /// The position in ``ExtendedDeadlines``; ``DeliveryPool/none`` for a delivery that is not in it.
    var heapPosition = DeliveryPool.none
    var previous = DeliveryPool.none
    var next = DeliveryPool.none
    /// The key that orders the delivery in its list, or in the heap of deadlines. For a message in flight
    /// or deferred, it is the deadline on the monotonic clock in nanoseconds.
    var sortKey: Int64 = 0
    /// The time of the delivery on the monotonic clock, in nanoseconds.
    var deliveredAt: Int64 = 0
}
