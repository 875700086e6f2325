import TallyJSON

/// Changes topics and channels at all nodes of a cluster, as nsqadmin does.
///
/// The methods return the errors of the servers at which a change has failed. They throw if the nodes
/// cannot be found.
struct ClusterActions: Sendable {
    let reader: ClusterReader

    private typealias Arguments = [(name: String, value: String)]

    /// An action on a topic or on a channel.
    enum Action: String, Sendable {
        case pause, unpause, empty
    }

    /// Creates a topic, and optionally a channel, at all nsqlookupds, and the channel at all nsqds of the
    /// topic. Without nsqlookupds, both are created at all nsqds.
    func create(
        _ topic: String, channel: String?
    ) async throws(UpstreamError) -> [UpstreamError] {
        let servers = reader.lookupds.isEmpty ? reader.nsqds : reader.lookupds
        var errors = await post("/topic/create", topic, nil, to: servers)
        guard let channel else { return errors }
        guard !reader.lookupds.isEmpty else {
            return errors + (await post("/channel/create", topic, channel, to: servers))
        }
        errors += await post("/channel/create", topic, channel, to: reader.lookupds)
        let nodes = try await reader.registeredNodes(of: topic)
        errors += nodes.errors
        return errors + (await post("/channel/create", topic, channel, to: nodes.value))
    }

    /// Deletes a topic or a channel at all nsqlookupds and at all nsqds of the topic.
    func delete(
        _ topic: String, channel: String?
    ) async throws(UpstreamError) -> [UpstreamError] {
        // The nodes are read first, because the nsqlookupds no longer know them after the deletion.
        let nodes = try await reader.nodes(of: topic)
        let path = "/\(channel == nil ? "topic" : "channel")/delete"
        var errors = nodes.errors
        errors += await post(path, topic, channel, to: reader.lookupds)
        return errors + (await post(path, topic, channel, to: nodes.value))
    }

    /// Performs an action at all nsqds of a topic.
    func perform(
        _ action: Action, on topic: String, channel: String?
    ) async throws(UpstreamError) -> [UpstreamError] {
        let nodes = try await reader.nodes(of: topic)
        let path = "/\(channel == nil ? "topic" : "channel")/\(action)"
        return nodes.errors + (await post(path, topic, channel, to: nodes.value))
    }

    /// Hides an nsqd from the consumers of a topic, and deletes the topic there.
    ///
    /// - Parameter node: the HTTP address of the nsqd.
    func tombstone(
        _ topic: String, at node: String
    ) async throws(UpstreamError) -> [UpstreamError] {
        let arguments = [("topic", topic), ("node", node)]
        var errors = await post("/topic/tombstone", arguments, to: reader.lookupds)
        let nodes = try await reader.describe([node])
        errors += nodes.errors
        return errors + (await post("/topic/delete", topic, nil, to: nodes.value))
    }

    /// Publishes a message at one nsqd of a topic.
    func publish(
        _ body: [UInt8], to topic: String, at node: String
    ) async throws(UpstreamError) {
        try await reader.client.post(node, "/pub", [("topic", topic)], body: body)
    }

    // MARK: Requests

    private func post(
        _ path: String, _ topic: String, _ channel: String?, to nodes: [NodeInfo]
    ) async -> [UpstreamError] {
        await post(path, topic, channel, to: nodes.map(\.httpAddress))
    }

    private func post(
        _ path: String, _ topic: String, _ channel: String?, to addresses: [String]
    ) async -> [UpstreamError] {
        let channel = channel.map { [("channel", $0)] } ?? []
        return await post(path, [("topic", topic)] + channel, to: addresses)
    }

    private func post(
        _ path: String, _ arguments: [(String, String)], to addresses: [String]
    ) async -> [UpstreamError] {
        let client = reader.client
        return await collect(addresses) { address throws(UpstreamError) in
            try await client.post(address, path, arguments)
        }.errors
    }
}
