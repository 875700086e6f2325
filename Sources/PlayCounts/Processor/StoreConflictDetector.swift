import HTTP
import Logging
import NSQWire

/// Warns if several processors with different stores consume one channel. Each store then counts
/// only a part of the plays, although its totals look complete.
///
/// The client ID of a processor's connections contains the ID of its store. nsqd's statistics list
/// the client IDs of a channel's consumers.
package struct StoreConflictDetector {
    /// The prefix of the client ID of a processor's connections.
    private static let prefix = "tally-store-"

    /// The maximum number of consumers that one warning names. The limit is needed because foreign
    /// clients choose client IDs.
    private static let maxNamed = 3
    /// After warnings about this many client IDs, no more warnings are logged. The limit bounds the
    /// log and the memory, because foreign clients choose client IDs.
    private static let maxReported = 100

    /// The client ID of a processor with this store.
    package static func clientID(storeID: String) -> String { prefix + storeID }

    private let clientID: String
    private let topic: TopicName
    private let channel: ChannelName
    private let logger: Logger
    private var reported: Set<String> = []

    /// - Parameter storeID: the ID of this processor's store.
    package init(topic: TopicName, channel: ChannelName, storeID: String, logger: Logger) {
        self.topic = topic
        self.channel = channel
        self.logger = logger
        clientID = Self.clientID(storeID: storeID)
    }

    /// Logs a warning about consumers with other stores, once for each of them.
    ///
    /// - Parameter clientIDs: the client IDs of the channel's consumers at this nsqd.
    package mutating func check(_ clientIDs: Set<String>, of nsqd: HTTPURL) {
        let others = clientIDs.filter(isOfOtherStore)
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

    /// Returns `true` for the client ID of a processor with another store. All client IDs of
    /// processors have the same length, so a longer ID is not the ID of a processor.
    private func isOfOtherStore(_ id: String) -> Bool {
        id.hasPrefix(Self.prefix) && id != clientID && id.utf8.count <= clientID.utf8.count
    }
}
