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
        let consumer = input.consumer(on: loop, storeID: store.storeID)
        let processor = try PlayProcessor(
            on: loop, consumer: consumer, rejects: try input.rejects(of: consumer, on: loop),
            store: store, clients: clients, settings: settings, logger: logger)
        let poller = input.statisticsPoller(
            on: loop, storeID: store.storeID, onQueueState: onQueueState)
        poller.start()
        processor.onEnd = poller.close
        return (processor, consumer)
    }

    private var input: PlayInput {
        PlayInput(
            nsqds: nsqds, lookupds: lookupds, nsqdHTTPs: nsqdHTTPs, client: client, topic: topic,
            channel: channel, maxInFlight: maxInFlight, maxAttempts: settings.maxAttempts,
            logger: logger)
    }
}
