import Logging
import NSQClient
import NSQWire
import PlayCounts
import UVLoop

/// How the parts are put together: a processor with its consumer, its store and its clients, on one
/// loop.
///
/// ```
/// nsqd ──▶ ConsumerEngine ──▶ PlayProcessor ──▶ PlayStore (a thread of its own)
///  ▲                             │     └──────▶ Sinks
///  └──── RejectedPlays ◀─────────┘
/// ```
struct ProcessorAssembly {
    var nsqds: [SocketAddress]
    var topic: TopicName
    var channel: ChannelName
    var maxInFlight: Int
    var settings: PlayProcessor.Settings
    var store: PlayStore
    var logger: Logger

    /// Builds it all; nothing is connected until the processor is started.
    ///
    /// - Returns: the processor, and its consumer for whoever wants to hear of connections.
    func build(
        on loop: Loop, clients: [Client]
    ) throws -> (processor: PlayProcessor, consumer: ConsumerEngine) {
        var options = Consumer.Options()
        options.maxInFlight = maxInFlight
        // Plays below the bound are to be published at once: nsqd is not to hold them back.
        options.outputBufferTimeout = .milliseconds(25)
        let consumer = ConsumerEngine(
            on: loop, topic: topic, channel: channel, nsqds: nsqds, options: options,
            logger: logger)
        let rejects = RejectedPlays(
            of: topic, consumer: consumer, maxAttempts: settings.maxAttempts, logger: logger
        ) { nsqd in
            let producer = ProducerEngine(on: loop, nsqd: nsqd, logger: logger)
            producer.start()
            return producer
        }
        guard let rejects else {
            throw UsageError(
                "topic \(topic) is too long: \(topic)\(RejectedPlays.topicSuffix) has to be a "
                    + "topic's name too")
        }
        let processor = try PlayProcessor(
            on: loop, consumer: consumer, rejects: rejects, store: store,
            clients: clients, settings: settings, logger: logger)
        return (processor, consumer)
    }
}

/// Something that the person at the keyboard can mend: one line, and what to do.
struct UsageError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    /// What went wrong on the way to an nsqd, and what can be done about it.
    init(reaching error: any Error) {
        if case NSQError.unreachable(let address, _)? = error as? NSQError {
            self.init(
                "\(error); start one there with tally nsqd --tcp-address=\(address), or give "
                    + "another --nsqd-tcp-address")
        } else {
            self.init("\(error)")
        }
    }
}
