extension Producer {
    /// Options of a producer.
    public struct Options: Sendable {
        /// The selection of an nsqd for a message, if there are several.
        public enum Distribution: Sendable {
            /// The first connected nsqd in the order of the addresses. The connections to the other
            /// nsqds are open and idle.
            case failover
            /// The connected nsqds in turn.
            case roundRobin
        }

        /// Options of the connections.
        public var client = ClientOptions()

        /// The selection of an nsqd for a message; failover by default.
        public var distribution = Distribution.failover

        /// The maximum time for which a publish waits while no nsqd is connected: 0 to 1 h, 5 s by
        /// default. With 0, a publish waits only for a connection attempt in progress.
        public var reconnectTimeout = Duration.seconds(5)

        /// The time after which the producer closes the connection of an nsqd that sends no response
        /// while publishes wait for one: 1 ms to 1 h, 10 s by default. These publishes then fail with
        /// the code ``NSQError/Code/connectionLost``, because nsqd may have accepted them.
        public var responseTimeout = Duration.seconds(10)

        /// Whether a message is published again if its connection broke before nsqd's response; `false`
        /// by default. nsqd may have accepted the first publish, so consumers can receive the message
        /// twice. A publish that failed because of ``responseTimeout`` is not repeated.
        public var republishesLostMessages = false

        /// The maximum number of publishes that were sent to one nsqd and have no response: 1 or more,
        /// 1,000 by default.
        public var window = 1_000

        /// Further publishes to an nsqd wait while the publishes without a response have at least this
        /// total size in bytes: 1 or more, 16 MiB by default.
        public var windowBytes = 16 << 20

        /// The maximum number of publishes that wait for the window or a connection: 0 or more,
        /// 10,000 by default. Further publishes fail at once.
        public var maxWaiting = 10_000

        /// The maximum time for which ``Producer/stop()`` waits for responses: 0 to 1 h, 5 s by
        /// default.
        public var stopTimeout = Duration.seconds(5)

        /// Creates options with the default values.
        public init() {}

        /// Options for an owner that repeats failed publishes itself: a publish fails at once if no
        /// nsqd is connected and no connection attempt is in progress.
        package static var withoutWaiting: Options {
            var options = Options()
            options.reconnectTimeout = .zero
            return options
        }
    }
}
