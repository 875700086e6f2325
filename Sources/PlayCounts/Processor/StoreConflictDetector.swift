import HTTP
import Logging
import NSQWire
import TallyJSON
import UVLoop

/// Warns if a channel has consumers with different stores, because each store has a part of the plays
/// then, and totals that look whole.
///
/// The connections of a processor have a client ID with the ID of its store, and nsqd's statistics
/// contain the client IDs. They are read soon after the start and then once a minute. An nsqd whose
/// statistics cannot be read is ignored.
package final class StoreConflictDetector {
    /// The prefix of the client ID of a processor's connections.
    private static let prefix = "tally-store-"

    /// The maximum number of consumers that one warning names. Client IDs come from outside.
    private static let maxNamed = 3
    /// The number of reported client IDs after which nothing is reported.
    private static let maxReported = 100

    /// The client ID of a processor with this store.
    package static func clientID(storeID: String) -> String { prefix + storeID }

    private let clientID: String
    private let topic: TopicName
    private let channel: ChannelName
    private let nsqds: [HTTPURL]
    private let client: HTTPClient
    private let timer: Timer
    private let logger: Logger
    private var calls: [HTTPCall] = []
    private var delay = Duration.seconds(1)
    private var reported: Set<String> = []

    /// - Parameters:
    ///   - nsqds: the addresses of the HTTP APIs of the nsqds.
    ///   - storeID: the ID of the own store.
    package init(
        on loop: Loop, nsqds: [HTTPURL], topic: TopicName, channel: ChannelName, storeID: String,
        logger: Logger
    ) {
        self.nsqds = nsqds
        self.topic = topic
        self.channel = channel
        self.logger = logger
        clientID = Self.clientID(storeID: storeID)
        client = HTTPClient(on: loop)
        timer = Timer(on: loop)
    }

    /// Starts to read the statistics.
    package func start() {
        guard !nsqds.isEmpty else { return }
        timer.start(after: delay) { [weak self] in
            guard let self else { return }
            delay = min(delay * 2, .seconds(60))
            poll()
            start()
        }
    }

    /// Stops reading.
    package func close() {
        timer.close()
        for call in calls { call.cancel() }
        calls = []
    }

    private func poll() {
        // A request of the last poll that still runs is superseded.
        for call in calls { call.cancel() }
        calls = nsqds.map { nsqd in
            var url = nsqd
            url.target = "/stats"
            for (name, value) in [
                ("format", "json"), ("topic", topic.text), ("channel", channel.text),
            ] { url.append(name, value) }
            return client.get(url) { [weak self] result in
                guard case .success(let response) = result, response.status == 200 else { return }
                self?.check(response.body, of: nsqd)
            }
        }
    }

    private func check(_ body: [UInt8], of nsqd: HTTPURL) {
        let others = Self.clientIDs(in: body).filter(isOfOtherStore)
        guard !reported.isSuperset(of: others), reported.count < Self.maxReported else { return }
        let named = others.sorted().prefix(Self.maxNamed)
        let rest = others.count - named.count
        reported.formUnion(others.prefix(Self.maxReported))
        logger.warning(
            """
            channel '\(channel)' of topic '\(topic)' at nsqd \(nsqd.address) has consumers with other \
            stores (\(named.joined(separator: ", "))\(rest > 0 ? " and \(rest) more" : "")): each \
            store counts a part of the \
            plays, and no total is complete (stop the other processor, or let it use another channel)
            """)
    }

    /// An ID that is longer than our own is of no processor.
    private func isOfOtherStore(_ id: String) -> Bool {
        id.hasPrefix(Self.prefix) && id != clientID && id.utf8.count <= clientID.utf8.count
    }

    /// The client IDs of all consumers in nsqd's statistics.
    private static func clientIDs(in body: [UInt8]) -> Set<String> {
        guard let statistics = try? JSONValue(parsingLikeGo: body, keptDepth: 7) else { return [] }
        let topics = statistics.elements("topics")
        let clients = topics.flatMap { $0.elements("channels") }.flatMap { $0.elements("clients") }
        return Set(clients.compactMap { $0["client_id"].flatMap { String(json: $0) } })
    }
}

extension JSONValue {
    /// The elements of an array member; none if there is no such array.
    fileprivate func elements(_ name: String) -> [JSONValue] {
        guard case .array(let elements) = self[name] else { return [] }
        return elements
    }
}
