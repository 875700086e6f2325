import TallyBasics
import TallyJSON

/// What nsqd's `/stats` reports about the processor's channel.
package struct ReportedChannel {
    /// The number of messages of the channel and its topic.
    package var queue: ChannelDepth
    /// The client IDs of the channel's consumers.
    package var clientIDs: Set<String>

    /// - Parameter body: the answer to `/stats?format=json` for one topic and one channel. A number
    ///   that is missing counts as 0.
    package init?(parsing body: [UInt8]) {
        guard let statistics = try? JSONValue(parsingLikeGo: body, keptDepth: 7) else { return nil }
        let topics = statistics.elements("topics")
        let channels = topics.flatMap { $0.elements("channels") }
        queue = ChannelDepth(
            depth: sum("depth", of: topics + channels),
            inFlight: sum("in_flight_count", of: channels),
            deferred: sum("deferred_count", of: channels))
        let clients = channels.flatMap { $0.elements("clients") }
        clientIDs = Set(clients.compactMap { $0["client_id"].flatMap { String(json: $0) } })
    }
}

private func sum(_ name: String, of objects: [JSONValue]) -> Int {
    let numbers = objects.map { Int64($0[name].flatMap { Int(json: $0) } ?? 0) }
    return Int(numbers.reduce(Int64(0)) { $0.addingSaturated($1) })
}

extension JSONValue {
    /// The elements of an array member; none if there is no such array.
    fileprivate func elements(_ name: String) -> [JSONValue] {
        guard case .array(let elements) = self[name] else { return [] }
        return elements
    }
}

extension ChannelDepth {
    /// The state of a channel at several nsqds.
    init(sum states: some Sequence<ChannelDepth>) {
        self.init(depth: 0, inFlight: 0, deferred: 0)
        for state in states {
            depth = Int(Int64(depth).addingSaturated(Int64(state.depth)))
            inFlight = Int(Int64(inFlight).addingSaturated(Int64(state.inFlight)))
            deferred = Int(Int64(deferred).addingSaturated(Int64(state.deferred)))
        }
    }
}
