import Logging
import NSQWire
import TallyBasics
import UVLoop

/// The TCP side of an nsqlookupd: the listener, and a connection for each nsqd.
final class LookupTCPServer {
    // The lookup server owns this object and outlives it.
    private unowned let server: LookupServer
    private let listener: Listener
    private var connections: [PeerID: LookupConnection] = [:]
    private var lastNumber = 0
    /// The timer that checks the timeouts of all connections; `nil` while there are no connections.
    private var deadlineTimer: Timer?

    /// The buffer that all connections read into. They can share it, because the loop reads from one
    /// connection at a time.
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)

    /// The interval at which timeouts are checked.
    static let checkInterval = Duration.seconds(1)

    init(_ listener: Listener, of server: LookupServer) {
        self.listener = listener
        self.server = server
        server.logger.info("TCP: listening on \(listener.endpoint)")
        listener.accept { [weak self] in self?.accept($0) }
    }

    deinit { readBuffer.deallocate() }

    var now: Timestamp { server.loop.timestamp }
    var connectionCount: Int { connections.count }
    var endpoint: Endpoint { listener.endpoint }

    private func accept(_ stream: Stream) {
        guard connections.count < server.options.connectionLimit else {
            server.logger.error("TCP: refused client(\(stream.peerName)): too many connections")
            return stream.close()
        }
        stream.setNoDelay(true)
        lastNumber += 1
        server.logger.info("TCP: new client(\(stream.peerName))")
        let session = LookupSession(PeerID(lastNumber), address: stream.peerName)
        let connection = LookupConnection(stream, session, of: self)
        connections[connection.id] = connection
        connection.start()
        startDeadlines()
    }

    private func startDeadlines() {
        guard deadlineTimer == nil else { return }
        let timer = Timer(on: server.loop)
        deadlineTimer = timer
        timer.start(after: Self.checkInterval, repeating: Self.checkInterval) { [weak self] in
            self?.checkDeadlines()
        }
    }

    private func checkDeadlines() {
        let now = now.monotonic
        for connection in connections.values { connection.closeIfSilent(at: now, server.options) }
    }

    func receive(
        _ bytes: UnsafeRawBufferPointer, from session: inout LookupSession
    ) -> LookupSession.Output {
        server.receive(bytes, from: &session)
    }

    func log(_ lines: [LookupSession.LogLine]) { server.log(lines) }

    /// Removes a closed connection and its registrations.
    func connectionClosed(_ connection: LookupConnection, _ session: inout LookupSession) {
        connections[connection.id] = nil
        server.disconnect(&session)
        if connections.isEmpty {
            deadlineTimer?.close()
            deadlineTimer = nil
        }
    }

    /// Closes the listener and all connections at once.
    func stop() {
        listener.close()
        for connection in connections.values { connection.close() }
        server.logger.info("TCP: closing \(listener.endpoint)")
    }
}
