import HTTP

/// The routes that read the cluster.
extension AdminAPI {
    func topics(_ request: HTTPRequest) async throws(AdminFailure) -> [UInt8] {
        guard let query = HTTPQuery(parsing: request.target.query) else { throw .invalidRequest }
        let topics = try await upstream { reader throws(UpstreamError) in
            try await reader.topics()
        }
        guard query["inactive"] == "true" else {
            return AdminJSON.topics(topics.value, warnings(topics.warning))
        }
        let inactive = await reader.inactiveTopics(of: topics.value)
        return AdminJSON.inactive(inactive, warnings(topics.warning))
    }

    func statistics(of topic: String) async throws(AdminFailure) -> [UInt8] {
        let nodes = try await upstream { reader throws(UpstreamError) in
            try await reader.nodes(of: topic)
        }
        let parts = try await upstream { reader throws(UpstreamError) in
            try await reader.statistics(of: nodes.value, topic: topic, withClients: false)
        }
        return AdminJSON.topic(
            TopicStatistics(sumOf: parts.value, name: topic),
            warnings(nodes.warning, parts.warning), now: Self.now)
    }

    func statistics(
        of channel: String, topic: String
    ) async throws(AdminFailure) -> [UInt8] {
        let nodes = try await upstream { reader throws(UpstreamError) in
            try await reader.nodes(of: topic)
        }
        let parts = try await upstream { reader throws(UpstreamError) in
            try await reader.statistics(
                of: nodes.value, topic: topic, channel: channel, withClients: true)
        }
        let sum = TopicStatistics(sumOf: parts.value, name: topic)
        return AdminJSON.channel(
            sum.channels.first { $0.name == channel }, warnings(nodes.warning, parts.warning),
            now: Self.now)
    }

    func statistics(at address: String) async throws(AdminFailure) -> [UInt8] {
        let nodes = try await upstream { reader throws(UpstreamError) in
            try await reader.nodes()
        }
        guard let node = nodes.value.first(where: { $0.httpAddress == address }) else {
            throw .nodeNotFound
        }
        let topics = try await upstream { reader throws(UpstreamError) in
            try await reader.statistics(of: [node], withClients: true)
        }
        return AdminJSON.node(address, topics.value, warnings(nodes.warning), now: Self.now)
    }

    func counter() async throws(AdminFailure) -> [UInt8] {
        let nodes = try await upstream { reader throws(UpstreamError) in
            try await reader.nodes()
        }
        let topics = try await upstream { reader throws(UpstreamError) in
            try await reader.statistics(of: nodes.value, withClients: false)
        }
        return AdminJSON.counter(topics.value, warnings(nodes.warning, topics.warning))
    }
}
