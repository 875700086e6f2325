import BrokerCore
import HTTP
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// Registers the broker's topics and channels with every nsqlookupd, and requests the channels of
/// new topics from them.
///
/// Clients never wait for nsqlookupd: a new topic accepts messages and consumers at once. Its
/// messages are dispatched to channels only after the response or the request timeout. Each channel
/// that other brokers have for the topic therefore receives all messages.
final class LookupRegistrar {
    // The broker server owns this object and outlives it.
    private unowned let server: BrokerServer
    private let client: HTTPClient
    private var peers: [LookupClientConnection] = []
    private var lookups: [TopicName: ChannelLookup] = [:]
    /// The topics that wait until another request has ended, before their channels are requested.
    private var waiting = LookupQueue()
    private var isStartingLookups = false
    private var isRunning = false

    /// The maximum number of topics whose channels are requested at the same time. Each request takes
    /// a connection to every nsqlookupd.
    static let maxLookups = 16

    init(of server: BrokerServer) {
        self.server = server
        client = HTTPClient(server.options, trusting: server.trust, on: server.loop)
    }

    var logger: Logger { server.logger }
    /// The maximum duration of a connection attempt and of each response.
    var timeout: Duration { server.options.lookup.timeout }

    /// The configured nsqlookupds, as `host:port`.
    private var addresses: [String] { server.options.lookup.tcpAddresses }

    // MARK: Peers

    /// Connects to every nsqlookupd. The broker's listeners must be bound before, because their
    /// ports are registered.
    func start() {
        isRunning = true
        adjustPeers()
    }

    /// Closes all connections, which removes the broker's registrations, so that producers and new
    /// consumers choose other brokers. ``start()`` registers the broker again.
    func withdraw() {
        isRunning = false
        for peer in peers { peer.close() }
        peers = []
        peersChanged()
    }

    /// Closes all connections and cancels all requests.
    func stop() {
        withdraw()
        for lookup in lookups.values { lookup.cancel() }
        lookups = [:]
        waiting = LookupQueue()
    }

    /// Connects to nsqlookupds that were added to the options, and disconnects from nsqlookupds that
    /// were removed.
    func addressesChanged() {
        if isRunning { adjustPeers() }
    }

    private func adjustPeers() {
        for peer in peers where !addresses.contains(peer.address) {
            logger.info("LOOKUP(\(peer.address)): removing peer")
            peer.close()
        }
        peers.removeAll { !addresses.contains($0.address) }
        for address in addresses where !peers.contains(where: { $0.address == address }) {
            logger.info("LOOKUP(\(address)): adding peer")
            let peer = LookupClientConnection(at: address, of: self, on: server.loop)
            peers.append(peer)
            peer.connect()
        }
        peersChanged()
    }

    /// Holds the messages of new topics until their channels are requested, if an nsqlookupd has an
    /// HTTP address for the request.
    func peersChanged() { server.broker.holdsNewTopics = peers.contains { $0.httpAddress != nil } }

    // MARK: Registration

    /// The broker's addresses and version, for IDENTIFY.
    var identity: LookupIdentity {
        let addresses = server.options.addresses
        return LookupIdentity(
            version: server.broker.options.version, tcpPort: addresses.broadcastTCPPort,
            httpPort: addresses.broadcastHTTPPort, hostname: System.hostname,
            broadcastAddress: addresses.broadcast)
    }

    /// A registration for each channel, and for each topic that has no channel.
    var registrations: [LookupCommand] {
        server.broker.topicAndChannelNames.flatMap { topic, channels in
            channels.isEmpty
                ? [.register(topic)] : channels.map { LookupCommand.register(topic, $0) }
        }
    }

    /// Registers or unregisters the topic or channel of an event.
    func handle(_ event: BrokerEvent) {
        switch event {
        case .topicCreated(let topic):
            enqueue(.register(topic))
            requestChannels(of: topic)
        case .topicDeleted(let topic, let channels):
            for channel in channels { enqueue(.unregister(topic, channel)) }
            enqueue(.unregister(topic))
            waiting.remove(topic)
            lookups.removeValue(forKey: topic)?.cancel()
            startNextLookups()
        case .channelCreated(let topic, let channel): enqueue(.register(topic, channel))
        case .channelDeleted(let topic, let channel): enqueue(.unregister(topic, channel))
        default: break
        }
    }

    private func enqueue(_ command: LookupCommand) {
        for peer in peers {
            logger.info("LOOKUPD(\(peer.address)): \(command)")
            peer.enqueue(command)
        }
    }

    // MARK: Channel requests

    private func requestChannels(of topic: TopicName) {
        waiting.append(topic, at: server.now.monotonic)
        startNextLookups()
    }

    private func startNextLookups() {
        // Without nsqlookupds, a request ends within `startLookup(of:)`, which then calls this
        // method again. The outer call's loop starts the next request.
        guard !isStartingLookups else { return }
        isStartingLookups = true
        defer { isStartingLookups = false }
        while lookups.count < Self.maxLookups, let next = waiting.popFirst() {
            let waited = server.now.monotonic - next.queuedAt
            if waited < server.options.httpClient.requestTimeout.nanoseconds {
                startLookup(of: next.topic)
            } else {
                finish(next.topic, [], ["too many requests to nsqlookupd are pending"])
            }
        }
    }

    private func startLookup(of topic: TopicName) {
        let httpAddresses = peers.compactMap(\.httpAddress)
        let lookup = ChannelLookup(of: topic, at: httpAddresses, with: client) {
            [unowned self] channels, failures in
            lookups[topic] = nil
            finish(topic, channels, failures)
            startNextLookups()
        }
        // An earlier request was for a deleted topic with the same name, and is no longer needed.
        lookups.updateValue(lookup, forKey: topic)?.cancel()
        lookup.start()
    }

    /// Starts the dispatch of a topic's messages.
    private func finish(_ topic: TopicName, _ channels: [ChannelName], _ failures: [String]) {
        for failure in failures {
            logger.warning(
                "failed to query nsqlookupd for channels to pre-create for topic \(topic) - \(failure)"
            )
        }
        server.broker.startTopic(topic, with: channels, at: server.now)
    }
}
