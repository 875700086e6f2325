import BrokerCore
import Logging
import NSQWire
import TallyBasics
import Transport
import UVLoop

/// The TCP side of a broker: the listener, and one connection for each session.
final class TCPServer {
    // The broker server owns this object and outlives it.
    private unowned let server: BrokerServer
    private var listener: Listener?
    /// The bound address. `nil` if there is no listener, or if it listens on a Unix-domain socket.
    private(set) var address: SocketAddress?
    private var connections: [SessionID: TCPConnection] = [:]
    private var whenClosed: (() -> Void)?
    private let faultyInput: FaultyInput?

    /// The buffer that all connections read into. They can share it, because the loop reads from
    /// one connection at a time.
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)

    /// The maximum numbers of bytes that the transport layers of all connections together decode
    /// and encode in one loop iteration.
    private var receiveQuota = IterationQuota(totalBytes: 2 << 20, minimumBytes: 64 << 10)
    private var sendQuota = IterationQuota(totalBytes: 256 << 10, minimumBytes: 4 << 10)

    /// Limits the TLS handshakes in one loop iteration; one handshake takes about a millisecond.
    let handshakeQueue: PerIterationQueue
    /// Limits the sessions of disconnected clients that are ended in one loop iteration.
    let disconnects: PerIterationQueue

    init(of server: BrokerServer) {
        self.server = server
        faultyInput = server.faults.map { FaultyInput($0, of: server.broker) }
        handshakeQueue = PerIterationQueue(on: server.loop, jobs: 64, time: .milliseconds(5))
        disconnects = PerIterationQueue(on: server.loop, jobs: 256, time: .milliseconds(5))
    }

    deinit { readBuffer.deallocate() }

    var broker: Broker { server.broker }
    var loop: Loop { server.loop }
    var now: Timestamp { server.now }
    var logger: Logger { server.logger }
    var tls: TLSContext? { server.tls }
    var authorizer: Authorizer { server.authorizer }
    /// The faults of a test; `nil` outside of tests.
    var faults: BrokerFaults? { faultyInput?.faults }

    /// Accepts connections from a listener.
    func accept(on listener: Listener) {
        listener.accept { [weak self] stream in self?.accept(stream) }
        self.listener = listener
        address = listener.endpoint.tcpAddress
        logger.info("TCP: listening on \(listener.endpoint)")
    }

    private func accept(_ stream: Stream) {
        stream.setNoDelay(true)
        let session = broker.connect(
            from: stream.peerName, host: stream.peerAddress?.host ?? "", at: now)
        let connection = TCPConnection(stream, session, of: self)
        connections[session.id] = connection
        logger.debug("TCP: new client(\(session.address))")
        connection.start()
        let limit = server.options.tcpConnectionLimit
        if broker.connectionCount > limit { broker.refuse(session, beyond: limit, at: now) }
    }

    /// Passes a client's commands to the broker.
    ///
    /// - Returns: the number of consumed bytes.
    func receive(_ bytes: Bytes, from session: Session) -> Int {
        guard let faultyInput else { return broker.receive(bytes, from: session, at: now) }
        return faultyInput.receive(bytes, from: session, at: now)
    }

    /// Closes the selected connections at once, without sending their pending output.
    ///
    /// - Returns: the number of closed connections.
    func closeConnections(where isSelected: (Session) -> Bool) -> Int {
        let selected = connections.values.filter { isSelected($0.session) }
        for connection in selected { connection.close() }
        return selected.count
    }

    /// Removes a connection whose stream has closed.
    func connectionClosed(_ session: Session) {
        connections[session.id] = nil
        logger.debug("TCP: client(\(session.address)) gone")
        callWhenClosedIfEmpty()
    }

    /// Writes the outboxes of the sessions to their sockets.
    func flush(_ sessions: [Session]) {
        for session in sessions { connections[session.id]?.flush() }
    }

    /// Returns the client's address for the log.
    func clientName(of id: SessionID) -> String {
        connections[id]?.session.address ?? "client \(id)"
    }

    /// Closes the listener, and each connection after its pending bytes are written.
    ///
    /// - Parameter done: runs once, when the last connection has closed.
    func stop(_ done: @escaping () -> Void) {
        whenClosed = done
        listener?.close()
        listener = nil
        for connection in connections.values { connection.end() }
        callWhenClosedIfEmpty()
    }

    private func callWhenClosedIfEmpty() {
        guard connections.isEmpty, let done = whenClosed else { return }
        whenClosed = nil
        done()
    }

    // MARK: Quotas

    /// Registers a connection that decodes in this iteration, and returns its quota in bytes, at
    /// most `limit`.
    func receiveQuota(limit: Int) -> Int {
        receiveQuota.register(in: loop.iteration)
        return min(limit, receiveQuota.bytesPerStream)
    }

    /// Registers a connection that encodes in this iteration, and returns its quota in bytes, at
    /// most `limit`.
    func sendQuota(limit: Int) -> Int {
        sendQuota.register(in: loop.iteration)
        return min(limit, sendQuota.bytesPerStream)
    }
}
