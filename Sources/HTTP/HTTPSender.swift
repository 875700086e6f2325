import Transport
import UVLoop

/// Sends HTTP requests from any task, on a thread of its own.
package final class HTTPSender: Sendable {
    private let host: LoopHost<Requests>

    /// The client on its loop.
    private final class Requests: LoopHosted {
        let client: HTTPClient

        init(_ client: HTTPClient) { self.client = client }

        func stop(_ done: @escaping () -> Void) {
            client.close()
            done()
        }
    }

    /// Creates a sender.
    ///
    /// - Parameters:
    ///   - connectTimeout: the maximum time until a connection is established.
    ///   - requestTimeout: the maximum time from the connection to the end of the response.
    ///   - maxBodyBytes: the maximum size of a response in bytes; `nil` if only the status counts.
    ///   - tls: the options of requests over TLS; by default, the authorities of the system are trusted.
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    package init(
        connectTimeout: Duration, requestTimeout: Duration, maxBodyBytes: Int?,
        tls: TLSClientOptions = TLSClientOptions()
    ) throws(UVError) {
        host = try LoopHost(threadName: "http requests") { loop in
            let client = HTTPClient(on: loop)
            client.connectTimeout = connectTimeout
            client.requestTimeout = requestTimeout
            client.maxBodyBytes = maxBodyBytes ?? 1 << 16
            client.truncatesLongBodies = maxBodyBytes == nil
            // The certificates are loaded with the first request over TLS.
            lazy var context = try? TLSContext(client: tls)
            client.tls = { context }
            return Requests(client)
        }
    }

    /// Closes the sender; requests in progress fail.
    package func stop() async { await host.stop() }

    /// Sends a request, and returns its response.
    ///
    /// - Parameter body: the body of a `POST`; `nil` sends a `GET`.
    package func send(
        _ url: HTTPURL, headers: [(name: String, value: String)], body: [UInt8]? = nil
    ) async -> Result<HTTPClientResponse, HTTPClientError> {
        await withCheckedContinuation { continuation in
            let runs = host.submit { requests in
                guard let client = requests?.client else {
                    return continuation.resume(returning: .failure(.connectionFailed(.canceled)))
                }
                let done: HTTPClient.Completion = { continuation.resume(returning: $0) }
                if let body {
                    client.post(url, headers: headers, body: body, done)
                } else {
                    client.get(url, headers: headers, done)
                }
            }
            if !runs { continuation.resume(returning: .failure(.connectionFailed(.canceled))) }
        }
    }
}
