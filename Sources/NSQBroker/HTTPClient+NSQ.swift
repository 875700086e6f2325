import HTTP
import TallyJSON
import UVLoop

/// Requests to nsqlookupd and authorization servers, as nsqd sends them.
extension HTTPClient {
    /// Creates a client with the timeouts of the options.
    convenience init(
        _ options: ServerOptions, trusting trust: TrustedAuthorities, on loop: Loop
    ) {
        self.init(on: loop)
        connectTimeout = options.httpClient.connectTimeout
        requestTimeout = options.httpClient.requestTimeout
        tls = { trust.context }
    }

    /// Sends a request, and repeats it over TLS if the server requires that.
    ///
    /// - Parameter body: the body of a `POST`; `nil` sends a `GET`.
    @discardableResult
    func ask(
        _ url: HTTPURL, body: [UInt8]? = nil,
        _ done: @escaping (Result<HTTPClientResponse, HTTPClientError>) -> Void
    ) -> HTTPClientRequest {
        let retry: (Result<HTTPClientResponse, HTTPClientError>) -> Void = { result in
            guard url.scheme == .http, let port = (try? result.get())?.portForTLS else {
                return done(result)
            }
            var encrypted = url
            encrypted.scheme = .https
            encrypted.address.port = port
            self.ask(encrypted, body: body, done)
        }
        let accept = (name: "Accept", value: "application/vnd.nsq; version=1.0")
        guard let body else { return get(url, headers: [accept], retry) }
        let type = (name: "Content-Type", value: "application/json")
        return post(url, headers: [accept, type], body: body, retry)
    }
}

extension HTTPClientResponse {
    /// The HTTPS port of the response `{"message": "TLS_REQUIRED", "https_port": 1}` of an nsqd or an
    /// nsqlookupd; `nil` for other responses.
    package var portForTLS: Int? {
        guard status == 403 else { return nil }
        let response = try? JSONValue(parsingLikeGo: body, keptDepth: 1)
        let port = response?["https_port"].flatMap { Int(json: $0) }
        return port.flatMap { (1...65_535).contains($0) ? $0 : nil }
    }
}
