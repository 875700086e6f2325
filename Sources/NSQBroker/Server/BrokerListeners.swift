import Logging
import UVLoop

/// The listening sockets of a broker. They are bound before the broker opens its data path, so that
/// no file changes if an address is already in use.
struct BrokerListeners {
    private let tcp: Listener
    private var http: Listener?
    private var https: Listener?

    /// The bound addresses.
    struct Addresses: Sendable {
        var tcp: String
        var http: String?
        var https: String?
    }

    /// Binds the addresses of the options.
    ///
    /// - Throws: `StartError` for the first address that cannot be bound. Then no socket is open.
    init(
        of options: ServerOptions, on loop: Loop, _ logger: Logger
    ) throws(EmbeddedBroker.StartError) {
        let addresses = options.addresses
        tcp = try Self.bind(addresses.tcp, .tcp, addresses, on: loop)
        do throws(EmbeddedBroker.StartError) {
            http = try Self.bindOptional(addresses.http, .http, addresses, on: loop, logger)
            if options.tls.server == nil, let unused = addresses.inherited[.https] {
                throw .invalidAddress(
                    unused.endpoint.description, of: .https,
                    "a socket for HTTPS needs --tls-cert and --tls-key")
            }
            if options.tls.server != nil {
                https = try Self.bindOptional(addresses.https, .https, addresses, on: loop, logger)
            }
        } catch {
            close()
            throw error
        }
    }

    /// Binds the address of HTTP or HTTPS.
    ///
    /// - Returns: `nil` if there is no address, or if it is in use and ``AddressOptions/optional``
    ///   contains it.
    private static func bindOptional(
        _ text: String, _ service: EmbeddedBroker.StartError.Service, _ addresses: AddressOptions,
        on loop: Loop, _ logger: Logger
    ) throws(EmbeddedBroker.StartError) -> Listener? {
        guard !text.isEmpty || addresses.inherited[service] != nil else { return nil }
        do throws(EmbeddedBroker.StartError) {
            return try bind(text, service, addresses, on: loop)
        } catch {
            guard error.code == .addressInUse, addresses.optional.contains(text) else {
                throw error
            }
            logger.warning("\(error); the broker runs without it")
            return nil
        }
    }

    private static func bind(
        _ text: String, _ service: EmbeddedBroker.StartError.Service, _ addresses: AddressOptions,
        on loop: Loop
    ) throws(EmbeddedBroker.StartError) -> Listener {
        if let socket = addresses.inherited[service] {
            do throws(UVError) {
                return try Listener(on: loop, inheriting: socket)
            } catch {
                throw EmbeddedBroker.StartError(
                    listeningAt: socket.endpoint, of: service, error)
            }
        }
        let endpoint: Endpoint
        do throws(MalformedAddress) {
            endpoint = try Endpoint(parsing: text)
        } catch {
            throw .invalidAddress(text, of: service, "\(error)")
        }
        do throws(UVError) {
            return try Listener(on: loop, at: endpoint)
        } catch {
            throw EmbeddedBroker.StartError(listeningAt: endpoint, of: service, error)
        }
    }

    /// The addresses with the ports that the kernel assigned.
    var addresses: Addresses {
        Addresses(
            tcp: tcp.endpoint.description, http: http?.endpoint.description,
            https: https?.endpoint.description)
    }

    /// Passes the listeners to `server`, which accepts connections from the next loop iteration on.
    func open(_ server: BrokerServer) {
        server.accept(on: tcp)
        if let http { server.serveHTTP(on: http) }
        if let https { server.serveHTTPS(on: https) }
    }

    /// Closes the sockets.
    func close() {
        for listener in [tcp, http, https] { listener?.close() }
    }
}
