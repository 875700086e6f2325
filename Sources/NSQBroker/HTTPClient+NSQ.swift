import FoundationEssentials
import HTTP
import Transport
import UVLoop

/// How nsqd asks others over HTTP.
extension HTTPClient {
    init(_ options: ServerOptions, on loop: Loop) {
        self.init(on: loop)
        connectTimeout = options.httpClient.connectTimeout
        requestTimeout = options.httpClient.requestTimeout
        let trust = ClientTLS(options.tls)
        tls = { trust.context }
    }

    /// Asks, and asks again by TLS if that is said to be required.
    ///
    /// - Parameter body: what to post; without one it is a `GET`.
    @discardableResult
    func ask(
        _ url: HTTPURL, body: [UInt8]? = nil,
        _ done: @escaping (Result<HTTPAnswer, HTTPClientError>) -> Void
    ) -> HTTPCall {
        let retry: (Result<HTTPAnswer, HTTPClientError>) -> Void = { result in
            guard url.scheme == .http, let port = (try? result.get())?.portForTLS else {
                return done(result)
            }
            var encrypted = url
            encrypted.scheme = .https
            encrypted.address.port = port
            ask(encrypted, body: body, done)
        }
        let accept = (name: "Accept", value: "application/vnd.nsq; version=1.0")
        guard let body else { return get(url, headers: [accept], retry) }
        let type = (name: "Content-Type", value: "application/json")
        return post(url, headers: [accept, type], body: body, retry)
    }
}

/// Made once it is needed: the system's authorities are many.
private final class ClientTLS {
    private let options: TLSClientOptions
    private(set) lazy var context = try? TLSContext(client: options)

    init(_ tls: TLSOptions) { options = tls.client }
}

extension HTTPAnswer {
    /// Where to come instead, if that is what it says: `{"message": "TLS_REQUIRED", "https_port": 1}`.
    fileprivate var portForTLS: Int? {
        guard status == 403 else { return nil }
        let port = try? JSONDecoder().decode(TLSRequired.self, from: Data(body)).port
        return port.flatMap { (1...65_535).contains($0) ? $0 : nil }
    }

    private struct TLSRequired: Decodable {
        var port: Int

        private enum CodingKeys: String, CodingKey { case port = "https_port" }
    }
}
