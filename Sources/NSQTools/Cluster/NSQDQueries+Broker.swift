import HTTP
import TallyJSON

/// Requests that only the broker of this package supports.
extension NSQDQueries {
    /// Sends a request, and returns the JSON of its response.
    ///
    /// - Parameter isChange: `true` sends a `POST`.
    /// - Throws: `Failure` with a text for people.
    package func askBroker(
        _ nsqd: String, _ path: String, _ arguments: [String: String], isChange: Bool = false
    ) async throws(Failure) -> JSONValue {
        try await brokerResponse(nsqd, path, arguments, isChange: isChange).json
    }

    /// Sends a request, and returns its response and the JSON in it.
    func brokerResponse(
        _ nsqd: String, _ path: String, _ arguments: [String: String], isChange: Bool = false
    ) async throws(Failure) -> (body: [UInt8], json: JSONValue) {
        let (_, response) = try await response(
            of: nsqd, path, arguments, body: isChange ? [] : nil)
        let json = try? JSONValue(parsingLikeGo: response.body, keptDepth: 6)
        guard response.status == 200 else {
            let code = json?["message"].flatMap { String(json: $0) } ?? ""
            let text = HTTPFailure.text(of: code, status: response.status, arguments: arguments)
            throw Failure(description: "\(nsqd): \(text)")
        }
        return (response.body, json ?? .object([]))
    }
}
