import BrokerCore
import TallyBasics

extension EmbeddedBroker {
    /// The conditions that select messages of a queue; all of them must be fulfilled.
    public struct MessageFilter: Sendable, Equatable {
        /// The state of a message, without its details.
        public enum State: String, CaseIterable, Sendable {
            /// The message can be delivered now.
            case ready
            /// The message is in flight to a client.
            case inFlight = "in_flight"
            /// The message is deferred.
            case deferred
        }

        /// The states of which a message has one.
        public var states = Set(State.allCases)
        /// The bytes that the body contains, at most 1024; empty for any body.
        public var text: [UInt8] = []
        /// The smallest number of deliveries.
        public var minAttempts = 0
        /// The shortest time since the publish.
        public var minAge = Duration.zero

        /// Selects all messages.
        public init() {}

        func core(at now: Timestamp) -> BrokerCore.MessageFilter {
            var filter = BrokerCore.MessageFilter()
            filter.states = Set(
                states.compactMap { BrokerCore.MessageFilter.State(rawValue: $0.rawValue) })
            filter.text = text
            filter.minAttempts = minAttempts
            if minAge > .zero {
                filter.publishedBefore = now.wall.subtractingSaturated(minAge.nanoseconds)
            }
            return filter
        }
    }
}
