/// How much the processor's channel holds at its broker.
package struct QueueState: Sendable, Equatable {
    /// Messages that wait for a consumer, those that wait for the channel included.
    package var depth: Int
    package var inFlight: Int
    package var deferred: Int

    package init(depth: Int, inFlight: Int, deferred: Int) {
        self.depth = depth
        self.inFlight = inFlight
        self.deferred = deferred
    }
}
