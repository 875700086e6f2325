import HTTP
import Transport
import UVLoop

/// Posts each call as JSON to a URL, one call at a time on one connection.
///
/// A response with status 2xx means that the client accepts the call. After any other status, an
/// error or a timeout, this call and all queued calls fail, so that an older total never arrives
/// after a newer one.
package final class HTTPSink: Sink {
    private let url: HTTPURL
    private let client: HTTPClient
    private var request: HTTPClientRequest?
    // INVARIANT: the first call is in progress. All calls belong to one round.
    private var queue: [(call: Call, completion: (Result<Void, SinkError>) -> Void)] = []

    private let headers: [(name: String, value: String)]

    /// Creates a sink. It connects at the first call.
    ///
    /// - Parameters:
    ///   - tls: the TLS context for an `https` URL.
    ///   - authorization: the value of the `Authorization` header; `nil` sends none.
    package init(
        to url: HTTPURL, tls: TLSContext? = nil, authorization: String? = nil, on loop: Loop,
        requestTimeout: Duration = .seconds(10)
    ) {
        self.url = url
        var headers = [
            (name: "Content-Type", value: "application/json"), (name: "User-Agent", value: "tally"),
        ]
        if let authorization { headers.append((name: "Authorization", value: authorization)) }
        self.headers = headers
        client = HTTPClient(on: loop)
        client.connectTimeout = .seconds(5)
        client.requestTimeout = requestTimeout
        client.truncatesLongBodies = true
        client.keepsConnection = true
        client.tls = { tls }
    }

    package func send(
        _ call: Call, completion: @escaping (Result<Void, SinkError>) -> Void
    ) {
        queue.append((call, completion))
        if queue.count == 1 { post(call) }
    }

    package func abandonCalls() {
        queue = []
        request?.cancel()
    }

    package func close() {
        abandonCalls()
        client.close()
    }

    private func post(_ call: Call) {
        var body: [UInt8] = []
        call.appendJSON(to: &body)
        request = client.post(url, headers: headers, body: body) { [weak self] result in
            switch result.map(\.status) {
            case .success(200..<300): self?.succeed()
            case .success(let status): self?.fail(.refused("status \(status)"))
            case .failure(let error): self?.fail(.unreachable("\(error)"))
            }
        }
    }

    private func succeed() {
        let completion = queue.removeFirst().completion
        if let next = queue.first { post(next.call) }
        completion(.success(()))
    }

    private func fail(_ error: SinkError) {
        let failed = queue
        queue = []
        for (_, completion) in failed { completion(.failure(error)) }
    }
}
