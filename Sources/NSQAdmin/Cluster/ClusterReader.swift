import NSQWire
import TallyJSON
import UVLoop

/// Reads the topics, nodes and statistics of a cluster, as nsqadmin does.
///
/// Every method sends requests to several servers at once. It throws if no server has given a
/// usable response. Otherwise it returns the value together with the errors of the servers that
/// have failed.
struct ClusterReader: Sendable {
    let client: UpstreamClient
    /// The HTTP addresses of the nsqlookupds.
    let lookupds: [String]
    /// The HTTP addresses of the nsqds. They are used only if there is no nsqlookupd.
    let nsqds: [String]

    /// The maximum number of nodes. Further nodes are ignored, and the result then contains an
    /// error.
    static let maxNodes = 1_000

    init(_ client: UpstreamClient, lookupds: [String], nsqds: [String]) {
        self.client = client
        self.lookupds = lookupds
        self.nsqds = nsqds
    }

    // MARK: Topics

    /// Returns the names of the topics, sorted.
    func topics() async throws(UpstreamError) -> Partial<[String]> {
        let client = client
        if !lookupds.isEmpty {
            let found = try await askLookupds { lookupd throws(UpstreamError) in
                try await client.get(lookupd, "/topics", keptDepth: 2).names("topics")
            }
            return Partial(value: Self.topicNames(found.value), errors: found.errors)
        }
        let found = try await askNSQDs { nsqd throws(UpstreamError) in
            let json = try await client.statistics(of: nsqd, keptDepth: 3)
            return (json.elements("topics") ?? []).map { $0.text("topic_name") }
        }
        return Partial(value: Self.topicNames(found.value), errors: found.errors)
    }

    private static func topicNames(_ lists: [[String]]) -> [String] {
        Set(lists.joined()).filter { TopicName($0) != nil }.sorted()
    }

    /// Returns the channels of a topic that are registered at nsqlookupds, sorted.
    func registeredChannels(
        of topic: String
    ) async throws(UpstreamError) -> Partial<[String]> {
        let client = client
        let found = try await askLookupds { lookupd throws(UpstreamError) in
            try await client.get(lookupd, "/channels", [("topic", topic)], keptDepth: 2)
                .names("channels")
        }
        let names = Set(found.value.joined()).filter { ChannelName($0) != nil }
        return Partial(value: names.sorted(), errors: found.errors)
    }

    /// Returns the topics that no nsqd has, with their channels; empty if there is no nsqlookupd,
    /// because only nsqlookupds list such topics.
    func inactiveTopics(of topics: [String]) async -> [(name: String, channels: [String])] {
        guard !lookupds.isEmpty else { return [] }
        let found = await collect(topics) { topic throws(UpstreamError) in
            let producers = try? await registeredNodes(of: topic)
            guard producers?.value.isEmpty ?? true else { return nil as (String, [String])? }
            let channels = try? await registeredChannels(of: topic)
            return (topic, channels?.value ?? [])
        }
        return found.value.compactMap(\.self).map { ($0.0, $0.1) }
    }

    // MARK: Nodes

    /// Returns all nodes, sorted by host name.
    ///
    /// - Parameter withTopics: whether nodes that are not read from an nsqlookupd contain their topics.
    func nodes(withTopics: Bool = true) async throws(UpstreamError) -> Partial<[NodeInfo]> {
        guard lookupds.isEmpty else { return try await registeredNodes() }
        return try await describe(nsqds, withTopics: withTopics)
    }

    func nodes(of topic: String) async throws(UpstreamError) -> Partial<[NodeInfo]> {
        guard lookupds.isEmpty else { return try await registeredNodes(of: topic) }
        let client = client
        let found = try await askNSQDs { nsqd throws(UpstreamError) in
            let arguments = [("topic", topic), ("include_clients", "false")]
            let json = try await client.statistics(of: nsqd, arguments, keptDepth: 3)
            let topics = json.elements("topics") ?? []
            guard topics.contains(where: { $0.text("topic_name") == topic }) else {
                return nil as NodeInfo?
            }
            var info = try await client.info(of: nsqd)
            info.topics = [NodeInfo.Topic(name: topic)]
            return info
        }
        return Self.sorted(found.value.compactMap(\.self), errors: found.errors)
    }

    /// Returns the nodes that nsqlookupds list for a topic, and an error for each node with an
    /// invalid address.
    func registeredNodes(of topic: String) async throws(UpstreamError) -> Partial<[NodeInfo]> {
        let client = client
        let found = try await askLookupds { lookupd throws(UpstreamError) in
            try await client.get(lookupd, "/lookup", [("topic", topic)], keptDepth: 4)
                .nodes(listedBy: lookupd)
        }
        var nodes: [String: NodeInfo] = [:]
        for node in found.value.flatMap(\.value) where nodes[node.httpAddress] == nil {
            nodes[node.httpAddress] = node
        }
        return Self.sorted(
            Array(nodes.values), errors: found.errors + found.value.flatMap(\.errors))
    }

    private func registeredNodes() async throws(UpstreamError) -> Partial<[NodeInfo]> {
        let client = client
        let found = try await askLookupds { lookupd throws(UpstreamError) in
            (
                lookupd,
                try await client.get(lookupd, "/nodes", keptDepth: 4).nodes(listedBy: lookupd)
            )
        }
        var nodes: [String: NodeInfo] = [:]
        for (lookupd, listed) in found.value {
            for node in listed.value {
                let peer = node.remoteAddress.isEmpty ? "N/A" : node.remoteAddress
                nodes[node.tcpAddress, default: node].addRemoteAddress("\(lookupd)/\(peer)")
            }
        }
        let newest = nodes.values.map { ProgramVersion($0.version) }.max()
        let marked = nodes.values.map { node in
            var node = node
            node.isOutOfDate = newest.map { ProgramVersion(node.version) < $0 } ?? false
            return node
        }
        return Self.sorted(marked, errors: found.errors + found.value.flatMap(\.1.errors))
    }

    /// Reads the descriptions of nsqds from the nsqds themselves, not from nsqlookupds.
    func describe(
        _ nsqds: [String], withTopics: Bool = true
    ) async throws(UpstreamError) -> Partial<[NodeInfo]> {
        let client = client
        let found = try await ask(nsqds, "nsqd") { nsqd throws(UpstreamError) in
            var info = try await client.info(of: nsqd)
            guard withTopics else { return info }
            let arguments = [("include_clients", "false")]
            let json = try await client.statistics(of: nsqd, arguments, keptDepth: 3)
            let names = (json.elements("topics") ?? []).map { $0.text("topic_name") }
            let topics = names.filter { TopicName($0) != nil }.map { NodeInfo.Topic(name: $0) }
            info.topics = topics.isEmpty ? nil : topics
            return info
        }
        return Self.sorted(found.value, errors: found.errors)
    }

    /// Sorts the nodes, and adds an error if they are too many.
    private static func sorted(
        _ nodes: [NodeInfo], errors: [UpstreamError]
    ) -> Partial<[NodeInfo]> {
        let sorted = nodes.sorted {
            ($0.hostname, $0.broadcastAddress, $0.httpPort)
                < ($1.hostname, $1.broadcastAddress, $1.httpPort)
        }
        var result = Partial(value: Array(sorted.prefix(maxNodes)), errors: errors)
        if sorted.count > maxNodes {
            result.errors.append(
                UpstreamError("\(sorted.count - maxNodes) nodes beyond \(maxNodes) are ignored"))
        }
        return result
    }

    // MARK: Statistics

    /// Returns statistics with one element for each topic of each node.
    ///
    /// - Parameters:
    ///   - topic: only this topic; `nil` for all.
    ///   - channel: only this channel; `nil` for all.
    ///   - withClients: whether the statistics contain the consumers.
    func statistics(
        of nodes: [NodeInfo], topic: String? = nil, channel: String? = nil, withClients: Bool
    ) async throws(UpstreamError) -> Partial<[TopicStatistics]> {
        let client = client
        let found = try await ask(nodes, "nsqd") { node throws(UpstreamError) in
            var arguments: [(String, String)] = []
            if let topic { arguments.append(("topic", topic)) }
            if let channel { arguments.append(("channel", channel)) }
            if !withClients { arguments.append(("include_clients", "false")) }
            return try await client.topics(of: node, arguments)
                .filter { topic == nil || $0.name == topic }
        }
        let topics = found.value.joined().sorted {
            ($0.hostname, $0.node, $0.name) < ($1.hostname, $1.node, $1.name)
        }
        return Partial(value: topics, errors: found.errors)
    }

    /// Returns the statistics of all topics of each node that responds, without consumers.
    func statisticsByNode(
        of nodes: [NodeInfo]
    ) async -> Partial<[(node: String, topics: [TopicStatistics])]> {
        let client = client
        return await collect(nodes) { node throws(UpstreamError) in
            (node.httpAddress, try await client.topics(of: node, [("include_clients", "false")]))
        }
    }

    // MARK: Requests

    private func askLookupds<Value: Sendable>(
        _ operation: @escaping @Sendable (String) async throws(UpstreamError) -> Value
    ) async throws(UpstreamError) -> Partial<[Value]> {
        try await ask(lookupds, "nsqlookupd", operation)
    }

    private func askNSQDs<Value: Sendable>(
        _ operation: @escaping @Sendable (String) async throws(UpstreamError) -> Value
    ) async throws(UpstreamError) -> Partial<[Value]> {
        try await ask(nsqds, "nsqd", operation)
    }

    private func ask<Element: Sendable, Value: Sendable>(
        _ servers: [Element], _ kind: String,
        _ operation: @escaping @Sendable (Element) async throws(UpstreamError) -> Value
    ) async throws(UpstreamError) -> Partial<[Value]> {
        let found = await collect(servers, operation)
        guard !found.value.isEmpty else {
            throw UpstreamError("failed to query any \(kind): \(found.warning ?? "")")
        }
        return found
    }
}

extension UpstreamClient {
    fileprivate func statistics(
        of nsqd: String, _ arguments: [(name: String, value: String)] = [], keptDepth: Int
    ) async throws(UpstreamError) -> JSONValue {
        try await get(nsqd, "/stats", [("format", "json")] + arguments, keptDepth: keptDepth)
    }

    fileprivate func topics(
        of node: NodeInfo, _ arguments: [(name: String, value: String)]
    ) async throws(UpstreamError) -> [TopicStatistics] {
        let json = try await statistics(of: node.httpAddress, arguments, keptDepth: 8)
        return TopicStatistics.topics(in: json, of: node)
    }

    /// Reads the description of an nsqd. If an old nsqd does not report its host or port, the host
    /// and port in `nsqd` are used.
    fileprivate func info(of nsqd: String) async throws(UpstreamError) -> NodeInfo {
        let json = try await get(nsqd, "/info", keptDepth: 2)
        var info = NodeInfo(json["broadcast_address"] == nil ? json["data"] ?? json : json)
        if let address = try? SocketAddress(parsing: nsqd) {
            if info.broadcastAddress.isEmpty {
                info.broadcastAddress = address.host
                info.httpPort = address.port
            }
            if info.hostname.isEmpty { info.hostname = address.host }
        }
        return info
    }
}

extension JSONValue {
    fileprivate func names(_ member: String) -> [String] {
        (elements(member) ?? []).compactMap { String(json: $0) }
    }

    /// The nodes in the response of an nsqlookupd, and an error for each node with an invalid
    /// address. Without the error, a change of all nodes would silently omit this node.
    fileprivate func nodes(listedBy lookupd: String) -> Partial<[NodeInfo]> {
        let maxNodes = ClusterReader.maxNodes
        let producers = elements("producers") ?? []
        let nodes = producers.prefix(maxNodes).map { NodeInfo($0) }
        var errors = nodes.filter { !$0.hasUsableAddress }.map { node in
            let quoted = Array(node.httpAddress.utf8).withUnsafeBytes { $0.goQuoted }
            return UpstreamError("nsqlookupd \(lookupd) lists the invalid address \(quoted)")
        }
        if producers.count > maxNodes {
            let count = producers.count - maxNodes
            errors.append(
                UpstreamError(
                    "nsqlookupd \(lookupd) lists \(count) nodes beyond \(maxNodes), which are ignored"
                ))
        }
        return Partial(value: nodes.filter(\.hasUsableAddress), errors: errors)
    }
}
