import BrokerCore
import HTTP
import Logging
import TallyBasics
import Transport
import UVLoop

/// The HTTP side of a broker: one server with listeners for HTTP and HTTPS.
final class BrokerHTTPServer {
    // The broker server owns this object and outlives it.
    private unowned let server: BrokerServer
    private let service: BrokerHTTPService
    private let bodyMemory: BrokerBodyMemory
    /// `nil` until the first listener is added.
    private var httpServer: HTTPServer?
    /// The bound addresses. `nil` if there is no listener, or if it listens on a Unix-domain
    /// socket.
    private(set) var address: SocketAddress?
    private(set) var tlsAddress: SocketAddress?
    /// The durations of the loop's iterations since the first listener was added.
    private(set) var iterationDurations = PrometheusHistogram(bounds: [
        "0.00001", "0.00003", "0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1", "0.3",
        "1",
    ])

    init(of server: BrokerServer) {
        self.server = server
        service = BrokerHTTPService(of: server)
        bodyMemory = BrokerBodyMemory(server.broker)
    }

    var isListening: Bool { httpServer != nil }
    var connectionCount: Int { httpServer?.connectionCount ?? 0 }

    /// Accepts connections from a listener, for HTTPS if `tls` is set, else for HTTP.
    func accept(on listener: Listener, tls: TLSContext? = nil) {
        startedServer().accept(on: listener, tls: tls)
        let bound = listener.endpoint
        if tls == nil { address = bound.tcpAddress } else { tlsAddress = bound.tcpAddress }
        server.logger.info("\(tls == nil ? "HTTP" : "HTTPS"): listening on \(bound)")
    }

    private func startedServer() -> HTTPServer {
        if let httpServer { return httpServer }
        let httpServer = HTTPServer(serving: service, on: server.loop)
        httpServer.limit = (server.options.httpConnectionLimit, .failure(.tooManyConnections))
        httpServer.bodyMemory = bodyMemory
        self.httpServer = httpServer
        server.loop.measureIterations { [weak self] in
            self?.iterationDurations.add(nanoseconds: $0)
        }
        return httpServer
    }

    /// Closes the listeners at once, and each connection after its pending responses.
    ///
    /// - Parameter done: runs once, when the last connection has closed.
    func stop(_ done: @escaping () -> Void) {
        guard let httpServer else { return done() }
        httpServer.stop { [weak self] in
            self?.httpServer = nil
            done()
        }
    }
}

/// Counts the bodies of requests as input of the broker.
private final class BrokerBodyMemory: HTTPBodyMemory {
    private let broker: Broker

    init(_ broker: Broker) { self.broker = broker }

    func add(_ byteCount: Int, toBodyOf bodyBytes: Int) -> HTTPResponse? {
        guard bodyBytes < Broker.inputBytesBeyondLimit || broker.hasMemory(for: byteCount) else {
            return .failure(.memoryIsFull)
        }
        broker.memoryAccount.add(byteCount, to: .input)
        return nil
    }

    func remove(_ byteCount: Int) { broker.memoryAccount.add(-byteCount, to: .input) }
}
