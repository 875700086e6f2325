import HTTP
import Logging
import NSQClient
import NSQWire
import PlayCounts
import UVLoop

/// The parts of a processor. ``build(on:clients:)`` creates and connects them on one loop.
///
/// ```
/// nsqd ──▶ ConsumerEngine ──▶ PlayProcessor ──▶ PlayStore (on its own thread)
///  ▲                             │     └──────▶ Sinks
///  └──── RejectedPlays ◀─────────┘
/// ```
struct ProcessorPipeline {
    var nsqds: [SocketAddress]
    /// The nsqlookupds that report additional nsqds.
    var lookupds: [HTTPURL] = []
    /// The HTTP APIs of nsqds. Their statistics reveal processors with other stores and the depth
    /// of the channel.
    var nsqdHTTPs: [HTTPURL] = []
    /// Called with the depth of the channel, summed up over ``nsqdHTTPs``; `nil` if it is unknown.
    var onQueueState: @Sendable (ChannelDepth?) -> Void = { _ in }
    /// The options of the connections to the nsqds.
    var client = ClientOptions()
    var topic: TopicName
    var channel: ChannelName
    var maxInFlight: Int
    var settings: PlayProcessor.Settings
    var store: PlayStore
    var logger: Logger

    /// Creates the processor and its consumer. The consumer connects when the processor is started.
    ///
    /// - Throws: `UsageError` if the topic's name is too long, or an error of the store.
    func build(
        on loop: Loop, clients: [Client]
    ) throws -> (processor: PlayProcessor, consumer: ConsumerEngine) {
        var options = Consumer.Options()
        options.client = client
        options.maxInFlight = maxInFlight
        // If two processors consume one channel into different stores, each store has only a part
        // of the plays. The client ID contains the ID of the store, so that nsqd's statistics
        // reveal this.
        options.client.clientID = StoreConflictDetector.clientID(storeID: store.storeID)
        // nsqd's default buffering would delay immediate plays by up to 250 ms.
        options.outputBufferTimeout = .milliseconds(25)
        let consumer = ConsumerEngine(
            on: loop, topic: topic, channel: channel, nsqds: nsqds, lookupds: lookupds,
            options: options, logger: logger)
        let rejects = RejectedPlays(
            of: topic, consumer: consumer, maxAttempts: settings.maxAttempts, logger: logger
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
        let processor = try PlayProcessor(
            on: loop, consumer: consumer, rejects: rejects, store: store,
            clients: clients, settings: settings, logger: logger)
        let poller = statisticsPoller(on: loop)
        poller.start()
        processor.onEnd = poller.close
        return (processor, consumer)
    }

    private func statisticsPoller(on loop: Loop) -> ChannelStatisticsPoller {
        let poller = ChannelStatisticsPoller(
            on: loop, nsqds: nsqdHTTPs, topic: topic, channel: channel)
        var detector = StoreConflictDetector(
            topic: topic, channel: channel, storeID: store.storeID, logger: logger)
        poller.onStatistics = { detector.check($0.clientIDs, of: $1) }
        poller.onQueueState = onQueueState
        return poller
    }
}
