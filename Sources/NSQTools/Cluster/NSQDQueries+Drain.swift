import TallyJSON

/// Requests for the drain of a broker.
extension NSQDQueries {
    /// The kind of a request.
    package enum DrainRequest: Sendable {
        case begin(handOverTo: String?, allowsDuplicates: Bool)
        case report
        case cancel
    }

    /// Sends a request.
    ///
    /// - Returns: the state of the drain.
    package func drain(
        _ request: DrainRequest, at nsqd: String
    ) async throws(Failure) -> JSONValue {
        switch request {
        case .report: return try await askBroker(nsqd, "/drain", [:])
        case .cancel: return try await askBroker(nsqd, "/drain/cancel", [:], isChange: true)
        case .begin(let address, let allowsDuplicates):
            var arguments: [String: String] = [:]
            arguments["to"] = address
            if allowsDuplicates { arguments["allow_duplicates"] = "true" }
            return try await askBroker(nsqd, "/drain", arguments, isChange: true)
        }
    }
}
