import HTTP
import Logging
import NSQClient
import NSQWire
import PlayCounts
import UVLoop

/// Where a processor's plays come from. It creates the consumer of the plays, the publisher of
/// rejected messages, and the poller of the channel's statistics.
struct PlayInput {
    var nsqds: [SocketAddress]
    /// The nsqlookupds that report additional nsqds.
    var lookupds: [HTTPURL] = []
    /// The HTTP APIs of nsqds. Their statistics reveal processors with other stores and the depth
    /// of the channel.
    var nsqdHTTPs: [HTTPURL] = []
    /// The options of the connections to the nsqds.
    var client = ClientOptions()
    var topic: TopicName
    var channel: ChannelName
    var maxInFlight: Int
    /// The maximum number of deliveries of a message.
    var maxAttempts: Int
    var logger: Logger

    /// Creates a consumer, which connects when it is started.
    ///
    /// - Parameter storeID: identifies the store. If two processors consume one channel into
    ///   different stores, each store has only a part of the plays. The client ID contains the ID
    ///   of the store, so that nsqd's statistics reveal this.
    func consumer(on loop: Loop, storeID: String) -> ConsumerEngine {
        var options = Consumer.Options()
        options.client = client
        options.maxInFlight = maxInFlight
        options.client.clientID = StoreConflictDetector.clientID(storeID: storeID)
        // nsqd's default buffering would delay immediate plays by up to 250 ms.
        options.outputBufferTimeout = .milliseconds(25)
        return ConsumerEngine(
            on: loop, topic: topic, channel: channel, nsqds: nsqds, lookupds: lookupds,
            options: options, logger: logger)
    }

    /// Creates the publisher of rejected messages.
    ///
    /// - Throws: `UsageError` if the topic's name is too long.
    func rejects(of consumer: ConsumerEngine, on loop: Loop) throws -> RejectedPlays {
        let rejects = RejectedPlays(
            of: topic, consumer: consumer, maxAttempts: maxAttempts, logger: logger
        ) { nsqd in
            var options = Producer.Options.withoutWaiting
            options.client = client
            let producer = ProducerEngine(on: loop, nsqd: nsqd, options: options, logger: logger)
            producer.start()
            return producer
        }
        guard let rejects else {
            throw UsageError(
                "topic name '\(topic)' is too long: the topic of rejected messages has the same "
                    + "name with '\(RejectedPlays.topicSuffix)' appended")
        }
        return rejects
    }

    /// Creates a poller that warns of processors with other stores.
    ///
    /// - Parameter onQueueState: called with the depth of the channel, summed up over
    ///   ``nsqdHTTPs``; `nil` if it is unknown.
    func statisticsPoller(
        on loop: Loop, storeID: String,
        onQueueState: @escaping @Sendable (ChannelDepth?) -> Void = { _ in }
    ) -> ChannelStatisticsPoller {
        let poller = ChannelStatisticsPoller(
            on: loop, nsqds: nsqdHTTPs, topic: topic, channel: channel)
        var detector = StoreConflictDetector(
            topic: topic, channel: channel, storeID: storeID, logger: logger)
        poller.onStatistics = { detector.check($0.clientIDs, of: $1) }
        poller.onQueueState = onQueueState
        return poller
    }
}
