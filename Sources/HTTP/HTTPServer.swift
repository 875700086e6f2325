import Transport
import UVLoop

/// Processes the requests of a server.
package protocol HTTPService: AnyObject {
    /// Decides how to treat a request's body. The server calls this method when the head is received.
    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan

    /// Processes a request and calls `respond` once, during this call or later.
    func respond(to request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void)
}

/// Limits the memory of the request bodies of a server.
package protocol HTTPBodyMemory: AnyObject {
    /// Adds received bytes of a body to the used memory.
    ///
    /// - Parameters:
    ///   - byteCount: the number of bytes.
    ///   - bodyBytes: the number of bytes that were received before.
    /// - Returns: the response that refuses the body if the memory is not available; `nil` after the
    ///   bytes were added.
    func add(_ byteCount: Int, toBodyOf bodyBytes: Int) -> HTTPResponse?

    /// Subtracts the bytes of a released body from the used memory.
    func remove(_ byteCount: Int)
}

/// An HTTP/1.1 server on a loop.
///
/// A connection processes its requests one at a time, in order. The server stops reading from a
/// client that does not read its responses. Each connection therefore holds at most one request, one
/// response, and one read buffer of further requests.
package final class HTTPServer {
    let loop: Loop
    private unowned let service: any HTTPService

    private var listeners: [Listener] = []
    private var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
    /// The connections that exceed the limit. Each is removed after the refusal was sent to it.
    private var rejected: [ObjectIdentifier: HTTPServerConnection] = [:]
    private(set) var isStopping = false
    private var onStopped: (() -> Void)?
    /// Checks the deadlines of all connections; `nil` while there are none.
    private var deadlineTimer: Timer?
    private var lastDate: (seconds: Int64, text: String) = (-1, "")

    /// The memory that all connections read into. They can share it because the loop reads from one
    /// connection at a time.
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    /// Limits the requests that the service processes in one loop iteration.
    let requests: PerIterationQueue
    /// Limits the TLS handshakes in one loop iteration.
    let handshakeQueue: PerIterationQueue

    /// Creates a server for `service`, which must outlive the server.
    package init(serving service: any HTTPService, on loop: Loop) {
        self.service = service
        self.loop = loop
        requests = PerIterationQueue(on: loop, jobs: 512, time: .milliseconds(5))
        handshakeQueue = PerIterationQueue(on: loop, jobs: 64, time: .milliseconds(5))
    }

    deinit { readBuffer.deallocate() }

    /// The number of open connections.
    package var connectionCount: Int { connections.count }

    /// The maximum number of connections, and the response to further connections; no limit by
    /// default.
    package var limit: (connections: Int, refusal: HTTPResponse)?

    /// The limit of the memory of all request bodies; no limit by default.
    package var bodyMemory: (any HTTPBodyMemory)?

    /// The deadlines of the connections.
    package var timeouts = HTTPTimeouts()

    /// Accepts connections at `endpoint`; with port 0 the kernel assigns a free port.
    ///
    /// - Parameter tls: the TLS context of the connections; `nil` (the default) for plain HTTP.
    /// - Returns: the endpoint, with the port that the kernel assigned.
    /// - Throws: `UVError`, such as `EADDRINUSE`.
    package func listen(
        at endpoint: Endpoint, tls: TLSContext? = nil
    ) throws(UVError) -> Endpoint {
        let listener = try Listener(on: loop, at: endpoint)
        accept(on: listener, tls: { tls })
        return listener.endpoint
    }

    /// Accepts connections from a listener, which the server closes when it stops.
    ///
    /// - Parameter tls: returns the TLS context of a new connection; `nil` for plain HTTP, the default.
    package func accept(
        on listener: Listener, tls: @escaping () -> TLSContext? = { nil }
    ) {
        let isOnLoopback =
            listener.endpoint.tcpAddress.map { HostNames.isLoopback(address: $0.host) } ?? false
        listener.accept {
            [weak self] stream in self?.accept(stream, tls(), isOnLoopback: isOnLoopback)
        }
        listeners.append(listener)
    }

    /// Accepts unencrypted connections at `address`; with port 0 the kernel assigns a free port.
    ///
    /// - Returns: the address, with the port that the kernel assigned.
    package func listen(at address: SocketAddress) throws(UVError) -> SocketAddress {
        try listen(at: .tcp(address)).tcpAddress!
    }

    private func accept(_ stream: Stream, _ tls: TLSContext?, isOnLoopback: Bool) {
        stream.setNoDelay(true)
        let connection = HTTPServerConnection(
            stream, tls: tls.map { TLSSession($0) }, isOnLoopback: isOnLoopback, serving: service,
            of: self)
        if let limit, connections.count >= limit.connections {
            rejected[ObjectIdentifier(connection)] = connection
            return connection.reject(limit.refusal)
        }
        connections[ObjectIdentifier(connection)] = connection
        connection.start()
        startDeadlines()
    }

    /// One timer checks all connections, because a timer for each would be restarted with each
    /// request.
    private func startDeadlines() {
        guard deadlineTimer == nil else { return }
        let timer = Timer(on: loop)
        deadlineTimer = timer
        let interval = HTTPTimeouts.checkInterval
        timer.start(after: interval, repeating: interval) { [weak self] in self?.checkDeadlines() }
    }

    private func checkDeadlines() {
        let now = loop.nowNanoseconds
        for connection in connections.values { connection.checkDeadlines(at: now) }
    }

    func connectionDidClose(_ connection: HTTPServerConnection) {
        connections[ObjectIdentifier(connection)] = nil
        rejected[ObjectIdentifier(connection)] = nil
        if connections.isEmpty {
            deadlineTimer?.close()
            deadlineTimer = nil
        }
        finishStopping()
    }

    /// The current time as text for the `Date` header, formatted at most once a second.
    var date: String {
        let seconds = loop.wallClockNanoseconds / 1_000_000_000
        if seconds != lastDate.seconds {
            lastDate = (seconds, HTTPDate.text(secondsSince1970: seconds))
        }
        return lastDate.text
    }

    /// Stops the server, which accepts no further connection and no further request. Requests in
    /// progress still get their responses.
    ///
    /// - Parameter done: runs once, when the last connection is closed.
    package func stop(_ done: @escaping () -> Void) {
        precondition(onStopped == nil, "a server is stopped once")
        isStopping = true
        onStopped = done
        for listener in listeners { listener.close() }
        listeners = []
        for connection in connections.values { connection.stop() }
        finishStopping()
    }

    private func finishStopping() {
        guard connections.isEmpty, rejected.isEmpty, let done = onStopped else { return }
        onStopped = nil
        done()
    }
}
