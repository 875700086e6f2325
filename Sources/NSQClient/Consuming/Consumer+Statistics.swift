extension Consumer {
    /// The counters of a consumer at one point in time.
    public struct Statistics: Sendable, Equatable {
        /// The established connections.
        public let connections: [Connection]

        /// The number of messages in flight over all connections.
        public var inFlightCount: Int { connections.reduce(0) { $0 + $1.inFlightCount } }

        /// `true` if at least one connection is starved: its nsqd sends no or few further messages until
        /// the consumer has processed some. A consumer that is starved most of the time would benefit
        /// from a greater ``Consumer/Options/maxInFlight``, from more handlers, or from faster ones.
        ///
        /// The same as `IsStarved` of go-nsq.
        public var isStarved: Bool { connections.contains(where: \.isStarved) }

        /// The counters of one connection.
        public struct Connection: Sendable, Equatable {
            /// The address of the nsqd, as `host:port`.
            public let address: String
            /// The `RDY` count that the consumer has last sent to the nsqd: the maximum number of
            /// messages in flight.
            public let readyCount: Int
            /// The number of received messages that are neither finished nor requeued.
            public let inFlightCount: Int
            /// `true` if at least one message, and at least 85 % of ``readyCount``, are in flight, and
            /// the connection is not being closed.
            public let isStarved: Bool

            package init(address: String, readyCount: Int, inFlightCount: Int, isLeaving: Bool) {
                self.address = address
                self.readyCount = readyCount
                self.inFlightCount = inFlightCount
                isStarved =
                    !isLeaving && inFlightCount > 0 && inFlightCount >= readyCount * 85 / 100
            }
        }
    }
}
