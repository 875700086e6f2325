import Transport
import UVLoop

/// A small HTTP/1.1 client on a loop, with timeouts and a maximum response size. The client does
/// not follow redirects.
package final class HTTPClient {
    /// Runs once, in a later loop iteration, with the response or the error.
    package typealias Completion = (Result<HTTPClientResponse, HTTPClientError>) -> Void

    /// The maximum time until the TCP connection is established; 2 s by default.
    package var connectTimeout = Duration.seconds(2)
    /// The maximum time from the established TCP connection, including the TLS handshake, to the
    /// last byte of the response; 5 s by default.
    package var requestTimeout = Duration.seconds(5)
    /// The maximum size of a response body in bytes; 1 MiB by default.
    package var maxBodyBytes = 1 << 20
    /// Whether the client truncates a body longer than ``maxBodyBytes``, for callers that only need
    /// the status; by default such a request fails.
    package var truncatesLongBodies = false
    /// Whether the client keeps a connection open for the next request to the same address; `false`
    /// by default.
    ///
    /// A server may close a kept connection at any time, even while a request is in transit. The
    /// client then sends the request once more over a new connection, so requests must be
    /// idempotent.
    package var keepsConnection = false
    /// Returns the TLS context for `https` requests; these requests fail if it returns `nil`, as it
    /// does by default.
    package var tls: () -> TLSContext? = { nil }

    let loop: Loop
    private var idle: (connection: HTTPClientConnection, url: HTTPURL)?
    private var pending: [ObjectIdentifier: HTTPClientRequest] = [:]
    private(set) var isClosed = false

    /// Creates a client whose callbacks run on `loop`.
    package init(on loop: Loop) { self.loop = loop }

    /// Sends a GET request.
    ///
    /// - Returns: the pending request, which can be cancelled.
    @discardableResult
    package func get(
        _ url: HTTPURL, headers: [(name: String, value: String)] = [],
        _ done: @escaping Completion
    ) -> HTTPClientRequest {
        start("GET", url, headers, body: nil, done)
    }

    /// Sends a POST request.
    ///
    /// - Returns: the pending request, which can be cancelled.
    @discardableResult
    package func post(
        _ url: HTTPURL, headers: [(name: String, value: String)] = [], body: [UInt8],
        _ done: @escaping Completion
    ) -> HTTPClientRequest {
        start("POST", url, headers, body: body, done)
    }

    /// Closes all connections. Pending requests fail with ``HTTPClientError/connectionFailed(_:)``
    /// before the method returns. Later requests fail in the next loop iteration.
    package func close() {
        isClosed = true
        closeIdleConnection()
        let requests = pending.values
        pending = [:]
        for request in requests { request.finish(.failure(.connectionFailed(.canceled))) }
    }

    private func start(
        _ method: String, _ url: HTTPURL, _ headers: [(name: String, value: String)],
        body: [UInt8]?, _ done: @escaping Completion
    ) -> HTTPClientRequest {
        var head = "\(method) \(url.target) HTTP/1.1\r\nHost: \(url.host)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        if !keepsConnection { head += "Connection: close\r\n" }
        let call = HTTPClientRequest(
            Array((head + "\r\n").utf8) + (body ?? []), to: url, by: self, done)
        pending[ObjectIdentifier(call)] = call
        call.start()
        return call
    }

    /// Removes a request that has a result or is cancelled from the pending requests.
    func removePending(_ request: HTTPClientRequest) {
        pending[ObjectIdentifier(request)] = nil
    }

    // MARK: Kept connections

    /// Returns the kept connection if its scheme and address are those of `url`, and `nil`
    /// otherwise. The connection is no longer kept.
    func removeIdleConnection(to url: HTTPURL) -> HTTPClientConnection? {
        guard let idle, idle.url.scheme == url.scheme, idle.url.address == url.address else {
            return nil
        }
        self.idle = nil
        return idle.connection
    }

    /// Keeps a connection open for the next request, and closes the previously kept connection.
    func setIdleConnection(_ connection: HTTPClientConnection, to url: HTTPURL) {
        guard !isClosed else { return connection.close() }
        closeIdleConnection()
        idle = (connection, url)
        connection.onEvent = { [weak self, unowned connection] event in
            // The only event of an idle connection is `failed`.
            guard case .failed = event, self?.idle?.connection === connection else { return }
            self?.idle = nil
        }
    }

    private func closeIdleConnection() {
        idle?.connection.close()
        idle = nil
    }
}

/// A server's response.
package struct HTTPClientResponse: Sendable {
    /// The status code, 200 to 599.
    package var status: Int
    package var headers: HTTPHeaders
    /// The body, without transfer encoding.
    package var body: [UInt8]
}
