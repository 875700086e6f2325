import TallyJSON

/// Requests for the failed sets of channels.
extension NSQDQueries {
    /// Returns the failed sets, or the failed messages of one channel.
    ///
    /// - Parameter arguments: the arguments of the request; without a topic, the failed sets.
    package func failed(
        at nsqd: String, _ arguments: [String: String] = [:]
    ) async throws(Failure) -> (body: [UInt8], json: JSONValue) {
        try await brokerResponse(nsqd, "/failed", arguments)
    }

    /// Returns the number of messages in the failed set of a channel.
    package func failedCount(
        at nsqd: String, topic: String, channel: String
    ) async throws(Failure) -> Int {
        let arguments = ["topic": topic, "channel": channel, "limit": "1"]
        let name = try await failed(at: nsqd, arguments).json.text("failed_topic")
        let sets = try await failed(at: nsqd).json.elements("failed_sets")
        return sets?.first { $0.text("failed_topic") == name }?.count("messages") ?? 0
    }

    /// Retries or discards failed messages of a channel.
    ///
    /// - Parameters:
    ///   - change: `retry` or `discard`.
    ///   - arguments: the arguments of the request.
    /// - Returns: the number of messages, and the argument `after` of the next request; `nil` if there
    ///   is nothing left to do.
    package func changeFailed(
        _ change: String, at nsqd: String, _ arguments: [String: String]
    ) async throws(Failure) -> (count: Int, next: String?) {
        let json = try await askBroker(nsqd, "/failed/\(change)", arguments, isChange: true)
        return (json.count("messages"), json["next"].flatMap { String(json: $0) })
    }
}
