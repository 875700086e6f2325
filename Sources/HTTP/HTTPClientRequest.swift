import Transport
import UVLoop

/// A pending request of a client.
package final class HTTPClientRequest {
    private let client: HTTPClient
    private let url: HTTPURL
    private let request: [UInt8]
    private let timer: Timer
    private var connection: HTTPClientConnection?
    /// `true` while the request uses a reused connection, which the server may have closed already.
    private var isRetriable = false
    private var done: HTTPClient.Completion?

    init(
        _ request: [UInt8], to url: HTTPURL, by client: HTTPClient,
        _ done: @escaping HTTPClient.Completion
    ) {
        self.request = request
        self.url = url
        self.client = client
        self.done = done
        timer = Timer(on: client.loop)
    }

    /// Closes the connection without calling the completion.
    package func cancel() {
        done = nil
        client.removePending(self)
        timer.close()
        connection?.close()
        connection = nil
    }

    // Starts the request. The timer's closures retain the request until it is finished.
    func start() {
        guard !client.isClosed else { return failLater(.connectionFailed(.canceled)) }
        guard url.isSendable else { return failLater(.invalidURL) }
        guard let kept = client.removeIdleConnection(to: url) else { return connect() }
        isRetriable = true
        attach(kept)
        send(on: kept)
    }

    private func failLater(_ error: HTTPClientError) {
        client.loop.runInNextIteration { self.finish(.failure(error)) }
    }

    private func connect() {
        var session: TLSSession?
        if url.scheme == .https {
            guard let context = client.tls() else {
                let error = TransportError.tls("no trusted certificate authorities")
                return failLater(.tlsFailed(error))
            }
            session = TLSSession(context, serverName: url.address.host)
        }
        timer.start(after: client.connectTimeout) { self.finish(.failure(.connectTimedOut)) }
        let connection = HTTPClientConnection(
            on: client.loop, tls: session, maxBodyBytes: client.maxBodyBytes,
            truncatesLongBodies: client.truncatesLongBodies)
        attach(connection)
        connection.connect(to: url.address)
    }

    private func attach(_ connection: HTTPClientConnection) {
        self.connection = connection
        connection.onEvent = { [weak self, unowned connection] in
            self?.handle($0, of: connection)
        }
    }

    private func send(on connection: HTTPClientConnection) {
        startRequestTimeout()
        connection.send(request)
    }

    private func startRequestTimeout() {
        timer.start(after: client.requestTimeout) { self.finish(.failure(.requestTimedOut)) }
    }

    private func handle(_ event: HTTPClientConnection.Event, of connection: HTTPClientConnection) {
        switch event {
        case .connected: startRequestTimeout()
        case .ready: connection.send(request)
        case .responded(let response, let isReusable):
            if isReusable, client.keepsConnection {
                self.connection = nil
                client.setIdleConnection(connection, to: url)
            }
            finish(.success(response))
        case .failed(let error, let hasReceivedBytes):
            self.connection = nil
            guard isRetriable, !hasReceivedBytes else { return finish(.failure(error)) }
            isRetriable = false
            connect()
        }
    }

    /// Ends the request with a result. A request that is already finished or cancelled reports no
    /// further result.
    func finish(_ result: Result<HTTPClientResponse, HTTPClientError>) {
        let done = done
        cancel()
        done?(result)
    }
}
