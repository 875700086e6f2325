import BrokerCore
import HTTP
import Logging
import NSQWire
import UVLoop

/// Tells every nsqlookupd what the broker has, and asks them for the channels of a new topic.
///
/// None of it is waited for by a client: a topic takes messages and consumers from the moment it
/// comes into being. Only handing its messages to channels waits, for as long as the questions may
/// take, so that each channel that other brokers have of it gets all of them.
final class Lookup {
    // It lives as long as its server, which holds it.
    private unowned let server: BrokerServer
    private let client: HTTPClient
    private var peers: [LookupPeer] = []
    private var questions: [TopicName: ChannelQuestion] = [:]
    private var isRunning = false

    init(of server: BrokerServer) {
        self.server = server
        client = HTTPClient(server.options, on: server.loop)
    }

    var logger: Logger { server.logger }
    var patience: Duration { server.options.lookup.patience }

    /// Whom to tell, as `host:port`.
    private var addresses: [String] { server.options.lookup.tcpAddresses }

    // MARK: Peers

    /// The ports to tell are known: tells them.
    func start() {
        isRunning = true
        adjustPeers()
    }

    func stop() {
        isRunning = false
        for peer in peers { peer.close() }
        peers = []
        for question in questions.values { question.cancel() }
        questions = [:]
    }

    /// Others are to be told from now on.
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
            let peer = LookupPeer(at: address, of: self, on: server.loop)
            peers.append(peer)
            peer.connect()
        }
        peersChanged()
    }

    /// There are others to be asked for channels now.
    func peersChanged() { server.broker.holdsNewTopics = peers.contains { $0.httpAddress != nil } }

    // MARK: What they are told

    var identity: LookupIdentity {
        let place = server.options.addresses
        return LookupIdentity(
            version: server.broker.options.version, tcpPort: place.broadcastTCPPort,
            httpPort: place.broadcastHTTPPort, hostname: System.hostname,
            broadcastAddress: place.broadcast)
    }

    /// All that there is: a topic without channels by itself, the others by their channels.
    var registrations: [LookupCommand] {
        server.broker.topicNames.flatMap { topic, channels in
            channels.isEmpty
                ? [.register(topic)] : channels.map { LookupCommand.register(topic, $0) }
        }
    }

    /// Something has happened that they may want to know of.
    func note(_ event: BrokerEvent) {
        switch event {
        case .topicCreated(let topic):
            say(.register(topic))
            askForChannels(of: topic)
        case .topicDeleted(let topic):
            say(.unregister(topic))
            questions.removeValue(forKey: topic)?.cancel()
        case .channelCreated(let topic, let channel): say(.register(topic, channel))
        case .channelDeleted(let topic, let channel): say(.unregister(topic, channel))
        default: break
        }
    }

    private func say(_ command: LookupCommand) {
        for peer in peers {
            logger.info("LOOKUPD(\(peer.address)): \(command)")
            peer.say(command)
        }
    }

    // MARK: What they are asked

    private func askForChannels(of topic: TopicName) {
        let places = peers.compactMap(\.httpAddress)
        let question = ChannelQuestion(of: topic, at: places, with: client) {
            [unowned self] channels, failures in
            questions[topic] = nil
            for failure in failures {
                logger.warning(
                    "failed to query nsqlookupd for channels to pre-create for topic \(topic) - \(failure)"
                )
            }
            server.broker.startTopic(topic, with: channels, at: server.now)
        }
        // Several may want it at once; the one before was of a topic that is gone.
        questions.updateValue(question, forKey: topic)?.cancel()
        question.ask()
    }
}
