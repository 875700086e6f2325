import HTTP
import NSQClient
import TallyBasics
import UVLoop

/// Sends each message of a consumer to one or all of several HTTP endpoints. A message is finished
/// only after these requests have succeeded.
package final class HTTPForwarder: Sendable {
    /// The kind of request that is sent for each message.
    package enum Method: Sendable {
        /// `GET` of a URL in which `%s` is replaced by the message; the status must be 200.
        case get
        /// `POST` with the message as the body; the status must be 200 to 299.
        case post(contentType: String)
    }

    /// The endpoints that receive a message: one of them, or all.
    package enum Distribution: Sendable {
        case one(HostPool.Mode)
        case all
    }

    /// The reason why a request failed. The message is then delivered again.
    package struct Failure: Error, CustomStringConvertible, Sendable {
        package let description: String
    }

    private let sender: HTTPSender
    private let method: Method
    private let endpoints: [String]
    private let headers: [(name: String, value: String)]
    /// Selects the endpoint for each message; `nil` if all endpoints receive each message.
    private let pool: LockedValue<HostPool>?

    /// Creates a forwarder.
    ///
    /// - Parameters:
    ///   - endpoints: the URLs, at least one.
    ///   - headers: additional header fields of each request.
    /// - Throws: `Failure` if a URL is invalid.
    package init(
        to endpoints: [String], _ method: Method, _ distribution: Distribution,
        headers: [(name: String, value: String)], by sender: HTTPSender
    ) throws(Failure) {
        self.sender = sender
        self.method = method
        self.endpoints = endpoints
        var headers = headers
        if case .post(let type) = method { headers.append(("Content-Type", type)) }
        self.headers = headers
        switch distribution {
        case .one(let mode):
            pool = LockedValue(
                HostPool(endpoints.count, mode, seed: .random(in: .min ... .max)))
        case .all: pool = nil
        }
        for endpoint in endpoints { _ = try Self.url(endpoint, message: Array("x".utf8)) }
    }

    /// Sends a message to one endpoint or to all of them.
    ///
    /// - Throws: `Failure` if a request fails.
    package func send(_ body: [UInt8]) async throws(Failure) {
        guard let pool else {
            for endpoint in endpoints { try await send(body, to: endpoint) }
            return
        }
        let start = Timestamp.system.monotonic
        let index = pool.withLock { $0.select(at: start) }
        do throws(Failure) {
            try await send(body, to: endpoints[index])
        } catch {
            pool.withLock {
                $0.record(index, responseTime: nil, at: Timestamp.system.monotonic)
            }
            throw error
        }
        let end = Timestamp.system.monotonic
        pool.withLock { $0.record(index, responseTime: .nanoseconds(end - start), at: end) }
    }

    private func send(_ body: [UInt8], to endpoint: String) async throws(Failure) {
        let response: Result<HTTPClientResponse, HTTPClientError>
        let accepted: ClosedRange<Int>
        switch method {
        case .get:
            response = await sender.send(
                try Self.url(endpoint, message: body), headers: headers)
            accepted = 200...200
        case .post:
            response = await sender.send(
                try Self.url(endpoint, message: nil), headers: headers, body: body)
            accepted = 200...299
        }
        switch response {
        case .failure(let error): throw Failure(description: "\(endpoint): \(error)")
        case .success(let response):
            guard accepted.contains(response.status) else {
                throw Failure(description: "\(endpoint): got status code \(response.status)")
            }
        }
    }

    private static func url(_ text: String, message: [UInt8]?) throws(Failure) -> HTTPURL {
        let text = message.map { text.replacing("%s", with: escaped($0)) } ?? text
        let scheme: HTTPURL.Scheme = text.lowercased().hasPrefix("https:") ? .https : .http
        guard let url = HTTPURL(parsing: text, scheme: scheme) else {
            throw Failure(description: "\(text) is not a URL")
        }
        return url
    }

    /// Escapes bytes for a query string as Go's `url.QueryEscape` does.
    static func escaped(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            switch UnicodeScalar(byte) {
            case "a"..."z", "A"..."Z", "0"..."9", "-", "_", ".", "~":
                text.unicodeScalars.append(UnicodeScalar(byte))
            case " ": text += "+"
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                text += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return text
    }
}
