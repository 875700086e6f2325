import Transport
import UVLoop

/// What a server serves.
package protocol HTTPService: AnyObject {
    /// What is to become of the request's body: asked when its head is there.
    func bodyPlan(for request: HTTPRequest) -> HTTPBodyPlan

    /// Answers the request: `respond` is called once, now or later.
    func answer(_ request: HTTPRequest, _ respond: @escaping (HTTPResponse) -> Void)
}

/// An HTTP/1.1 server on a loop.
///
/// A connection's requests are answered one after the other, in order. A client that does not take
/// its answers is not read from, so that what it can make the server hold is bounded: one request,
/// one answer, and a piece of what it has sent beyond that.
package final class HTTPServer {
    let loop: Loop
    private unowned let service: any HTTPService

    private var listeners: [Listener] = []
    private var connections: [ObjectIdentifier: HTTPConnection] = [:]
    /// Those that were too many, as long as they are being told so.
    private var turnedAway: [ObjectIdentifier: HTTPConnection] = [:]
    private(set) var isStopping = false
    private var whenStopped: (() -> Void)?
    private var lastDate: (seconds: Int64, text: String) = (-1, "")

    /// What connections read into: one buffer for all, as the loop reads one at a time.
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    package init(serving service: any HTTPService, on loop: Loop) {
        self.service = service
        self.loop = loop
    }

    deinit { readBuffer.deallocate() }

    /// Connections that are open.
    package var connectionCount: Int { connections.count }

    /// How many connections are taken, and what all others are told.
    package var limit: (connections: Int, refusal: HTTPResponse)?

    /// Takes connections there; port 0 is any free one.
    ///
    /// - Parameter tls: what connections are encrypted with, if they are.
    /// - Returns: where it listens.
    package func listen(
        at endpoint: Endpoint, tls: TLSContext? = nil
    ) throws(UVError) -> Endpoint {
        let listener = try Listener(on: loop, at: endpoint) {
            [weak self] stream in self?.accept(stream, tls)
        }
        listeners.append(listener)
        return listener.endpoint
    }

    package func listen(at address: SocketAddress) throws(UVError) -> SocketAddress {
        try listen(at: .tcp(address)).tcpAddress!
    }

    private func accept(_ stream: Stream, _ tls: TLSContext?) {
        stream.noDelay(true)
        let connection = HTTPConnection(
            stream, tls: tls.map { TLSSession($0) }, serving: service, of: self)
        if let limit, connections.count >= limit.connections {
            turnedAway[ObjectIdentifier(connection)] = connection
            return connection.turnAway(with: limit.refusal)
        }
        connections[ObjectIdentifier(connection)] = connection
        connection.start()
    }

    func connectionClosed(_ connection: HTTPConnection) {
        connections[ObjectIdentifier(connection)] = nil
        turnedAway[ObjectIdentifier(connection)] = nil
        finishStopping()
    }

    /// The present as HTTP writes it; put into words once a second.
    var date: String {
        let seconds = loop.wallClockNanoseconds / 1_000_000_000
        if seconds != lastDate.seconds {
            lastDate = (seconds, HTTPDate.text(secondsSince1970: seconds))
        }
        return lastDate.text
    }

    /// Takes no connection and no request any more; those that are there get their answers.
    ///
    /// - Parameter done: called once, when the last connection is closed.
    package func stop(_ done: @escaping () -> Void) {
        precondition(whenStopped == nil, "a server is stopped once")
        isStopping = true
        whenStopped = done
        for listener in listeners { listener.close() }
        listeners = []
        for connection in connections.values { connection.stop() }
        finishStopping()
    }

    private func finishStopping() {
        guard connections.isEmpty, turnedAway.isEmpty, let done = whenStopped else { return }
        whenStopped = nil
        done()
    }
}
