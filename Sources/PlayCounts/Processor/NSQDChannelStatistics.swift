import TallyBasics
import TallyJSON

/// The processor's channel as reported by nsqd's `/stats`.
package struct NSQDChannelStatistics {
    /// The number of messages of the channel and its topic.
    package var queue: ChannelDepth
    /// The client IDs of the channel's consumers.
    package var clientIDs: Set<String>

    /// - Parameter body: the response to `/stats?format=json` for one topic and one channel. A
    ///   missing number counts as 0.
    package init?(parsing body: [UInt8]) {
        guard let statistics = try? JSONValue(parsingLikeGo: body, keptDepth: 7) else { return nil }
        let topics = statistics.elements("topics") ?? []
        let channels = topics.flatMap { $0.elements("channels") ?? [] }
        queue = ChannelDepth(
            depth: sum("depth", of: topics + channels),
            inFlight: sum("in_flight_count", of: channels),
            deferred: sum("deferred_count", of: channels))
        let clients = channels.flatMap { $0.elements("clients") ?? [] }
        clientIDs = Set(clients.compactMap { $0["client_id"].flatMap { String(json: $0) } })
    }
}

private func sum(_ name: String, of objects: [JSONValue]) -> Int {
    objects.map { $0[name].flatMap { Int(json: $0) } ?? 0 }.reduce(0) { $0.addingSaturated($1) }
}

extension ChannelDepth {
    /// The sum over several nsqds.
    init(sum states: some Sequence<ChannelDepth>) {
        self.init(depth: 0, inFlight: 0, deferred: 0)
        for state in states {
            depth.addSaturated(state.depth)
            inFlight.addSaturated(state.inFlight)
            deferred.addSaturated(state.deferred)
        }
    }
}
