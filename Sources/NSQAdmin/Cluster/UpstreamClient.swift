import HTTP
import NSQBroker
import NSQWire
import TallyJSON
import UVLoop

/// Sends requests to nsqds and nsqlookupds.
package final class UpstreamClient: Sendable {
    private let sender: HTTPSender
    private let limit = ConcurrencyLimit(maxRequests)

    /// The maximum size of a response in bytes.
    private static let maxBodyBytes = 64 << 20
    /// The maximum number of concurrent requests of one operation.
    static let maxConcurrency = 8
    /// The maximum number of concurrent requests of all operations.
    private static let maxRequests = 64
    /// The maximum number of bytes of a response that an error message quotes.
    private static let quotedBytes = 1024
    private static let accept = (name: "Accept", value: "application/vnd.nsq; version=1.0")

    /// Creates a client.
    ///
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    package init(_ options: UpstreamOptions) throws(UVError) {
        sender = try HTTPSender(
            connectTimeout: options.connectTimeout, requestTimeout: options.requestTimeout,
            maxBodyBytes: Self.maxBodyBytes, tls: options.tls)
    }

    /// Closes the client; requests in progress fail.
    package func stop() async { await sender.stop() }

    /// Returns the JSON of a response.
    ///
    /// - Parameters:
    ///   - address: the address of an nsqd or nsqlookupd, as `host:port`.
    ///   - keptDepth: how many levels of arrays and objects the result contains; deeper ones are
    ///     parsed, but not stored.
    func get(
        _ address: String, _ path: String, _ arguments: [(name: String, value: String)] = [],
        keptDepth: Int = 4
    ) async throws(UpstreamError) -> JSONValue {
        let url = try UpstreamURL.url(address, path, arguments)
        let response = try await send(url, body: nil)
        do throws(JSONError) {
            return try JSONValue(parsingLikeGo: response.body, keptDepth: keptDepth)
        } catch {
            throw UpstreamError("Get \"\(url)\": the response is not JSON")
        }
    }

    /// Sends a request that changes something.
    func post(
        _ address: String, _ path: String, _ arguments: [(name: String, value: String)],
        body: [UInt8] = []
    ) async throws(UpstreamError) {
        _ = try await send(try UpstreamURL.url(address, path, arguments), body: body)
    }

    /// Returns the response of another server to a `GET` request, whatever its status is.
    func get(_ url: HTTPURL) async throws(UpstreamError) -> HTTPClientResponse {
        try await exchange(url, [], body: nil)
    }

    /// Posts JSON to another server.
    func post(json: [UInt8], to url: HTTPURL) async throws(UpstreamError) {
        let type = (name: "Content-Type", value: "application/json")
        let response = try await exchange(url, [type], body: json)
        guard 200..<300 ~= response.status else { throw Self.error(of: response) }
    }

    /// Returns the response to a request, whatever its status is.
    ///
    /// - Parameter body: the body of a `POST`; `nil` sends a `GET`.
    func response(
        of address: String, _ path: String, _ arguments: [(name: String, value: String)],
        body: [UInt8]?
    ) async throws(UpstreamError) -> HTTPClientResponse {
        try await exchangeOrSecure(try UpstreamURL.url(address, path, arguments), body: body)
    }

    private func send(
        _ url: HTTPURL, body: [UInt8]?
    ) async throws(UpstreamError) -> HTTPClientResponse {
        let response = try await exchangeOrSecure(url, body: body)
        guard response.status == 200 else { throw Self.error(of: response) }
        return response
    }

    /// Sends a request, and repeats it over TLS if the server requires that.
    private func exchangeOrSecure(
        _ url: HTTPURL, body: [UInt8]?
    ) async throws(UpstreamError) -> HTTPClientResponse {
        var response = try await exchange(url, [Self.accept], body: body)
        if url.scheme == .http, let port = response.portForTLS {
            var secure = url
            secure.scheme = .https
            secure.address.port = port
            response = try await exchange(secure, [Self.accept], body: body)
        }
        return response
    }

    private func exchange(
        _ url: HTTPURL, _ headers: [(name: String, value: String)], body: [UInt8]?
    ) async throws(UpstreamError) -> HTTPClientResponse {
        let result = await limit.withPermit {
            await sender.send(url, headers: headers, body: body)
        }
        switch result {
        case .success(let response): return response
        case .failure(let error):
            throw UpstreamError("\(body == nil ? "Get" : "Post") \"\(url)\": \(error)")
        }
    }

    private static func error(of response: HTTPClientResponse) -> UpstreamError {
        let body = Array(response.body.prefix(quotedBytes))
        let quoted = body.withUnsafeBytes { $0.goQuoted }
        let reason = HTTPResponse.reason(of: response.status)
        return UpstreamError("got response \(response.status) \(reason) \(quoted)")
    }
}

/// The reason why an nsqd or an nsqlookupd gave no usable response.
package struct UpstreamError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The URL and the cause, in the format of nsqadmin; at most 4 KiB.
    package let description: String

    private static let maxBytes = 4 << 10

    /// Creates an error with a text, which is truncated to 4 KiB.
    package init(_ description: String) {
        self.description = description.truncated(toBytes: Self.maxBytes)
    }
}

/// The URLs of requests.
enum UpstreamURL {
    /// Combines the address of a node, a path and query parameters.
    static func url(
        _ address: String, _ path: String, _ arguments: [(name: String, value: String)]
    ) throws(UpstreamError) -> HTTPURL {
        guard let parsed = try? SocketAddress(parsing: address), parsed.port > 0,
            isValidHost(parsed.host)
        else {
            let quoted = Array(address.utf8.prefix(512)).withUnsafeBytes { $0.goQuoted }
            throw UpstreamError("invalid address \(quoted)")
        }
        var url = HTTPURL(address: parsed, target: path)
        for (name, value) in arguments { url.append(name, value) }
        return url
    }

    /// `true` if a host has only the characters of host names and numeric addresses, with an
    /// optional zone (`%eth0`). The check is needed because nodes choose the addresses that they
    /// report, and requests contain these addresses.
    static func isValidHost(_ host: String) -> Bool {
        let parts = host.split(separator: "%", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.count == 1 || parts.allSatisfy({ !$0.isEmpty }) else {
            return false
        }
        return parts.allSatisfy { part in
            part.unicodeScalars.allSatisfy {
                $0.isASCII
                    && ($0.properties.isAlphabetic || "0123456789.-_:".unicodeScalars.contains($0))
            }
        }
    }

    /// `true` if a URL has a user name or a password.
    static func hasUserInfo(_ url: String) -> Bool {
        guard let start = url.firstRange(of: "://")?.upperBound else { return false }
        return url[start...].prefix { !"/?#".contains($0) }.contains("@")
    }

    /// Parses an HTTP or HTTPS URL.
    static func parse(_ text: String) -> HTTPURL? {
        HTTPURL(parsing: text) ?? HTTPURL(parsing: text, scheme: .https)
    }
}

/// The result of requests to several servers, some of which may have failed.
struct Partial<Value: Sendable>: Sendable {
    var value: Value
    /// The errors of the servers that failed, each in the format of nsqadmin.
    var errors: [UpstreamError] = []

    /// The errors as one text; `nil` if there are none.
    var warning: String? {
        errors.isEmpty ? nil : errors.map(\.description).joined(separator: "\n")
    }
}

/// Calls `operation` for each element, with at most ``UpstreamClient/maxConcurrency`` calls at a
/// time. Begins no operation after the task is cancelled.
///
/// - Returns: the values of the operations that succeeded, in the order of the elements, and the
///   errors of the others.
func collect<Element: Sendable, Value: Sendable>(
    _ elements: [Element],
    _ operation: @escaping @Sendable (Element) async throws(UpstreamError) -> Value
) async -> Partial<[Value]> {
    typealias Outcome = Result<Value, UpstreamError>
    @Sendable func outcome(_ index: Int) async -> (Int, Outcome) {
        do throws(UpstreamError) {
            let value = try await operation(elements[index])
            return (index, .success(value))
        } catch {
            return (index, .failure(error))
        }
    }
    let outcomes = await withTaskGroup(of: (Int, Outcome).self) { group in
        var next = 0
        var outcomes = [Outcome?](repeating: nil, count: elements.count)
        while next < min(elements.count, UpstreamClient.maxConcurrency) {
            let index = next
            group.addTask { await outcome(index) }
            next += 1
        }
        while let (index, result) = await group.next() {
            outcomes[index] = result
            if next < elements.count, !Task.isCancelled {
                let index = next
                group.addTask { await outcome(index) }
                next += 1
            }
        }
        return outcomes
    }
    var partial = Partial<[Value]>(value: [])
    for case .some(let outcome) in outcomes {
        switch outcome {
        case .success(let value): partial.value.append(value)
        case .failure(let error): partial.errors.append(error)
        }
    }
    return partial
}
