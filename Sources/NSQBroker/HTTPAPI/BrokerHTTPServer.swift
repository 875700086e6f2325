import BrokerCore
import HTTP
import Logging
import TallyBasics
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

    /// Accepts connections of HTTP from a listener.
    func accept(on listener: Listener) {
        startedServer().accept(on: listener)
        address = listener.endpoint.tcpAddress
        server.logger.info("HTTP: listening on \(listener.endpoint)")
    }

    /// Accepts connections of HTTPS from a listener, each with the current certificate of the broker.
    func acceptHTTPS(on listener: Listener) {
        startedServer().accept(on: listener) { [unowned server] in server.tls }
        tlsAddress = listener.endpoint.tcpAddress
        server.logger.info("HTTPS: listening on \(listener.endpoint)")
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
