import HTTP
import Logging
import NSQWire
import TallyBasics
import UVLoop

/// An nsqlookupd on a loop: the registrations, the TCP protocol, the HTTP API and the state on disk.
///
/// All methods must be called on the loop's thread.
final class LookupServer: LoopHosted {
    let loop: Loop
    let options: LookupServerOptions
    let logger: Logger
    private(set) var table: RegistrationTable
    private var tcp: LookupTCPServer!
    private var http: HTTPServer!
    private lazy var service = LookupHTTPService(of: self)
    private var store: StateSaver?
    /// The state to write during a stop, captured before the connections are closed, because
    /// closing the connection of an nsqd removes its tombstones.
    private var lastState: [UInt8]?
    private let hostname = System.hostname
    let startedAt: Timestamp

    /// The bound addresses.
    struct Addresses: Sendable {
        var tcp: Endpoint
        var http: Endpoint
    }

    /// Opens the data path and starts to listen.
    ///
    /// - Throws: ``LookupStartError`` if an address or the data path cannot be used.
    init(
        _ options: LookupServerOptions, on loop: Loop, logger: Logger
    ) throws(LookupStartError) {
        self.options = options
        self.loop = loop
        self.logger = logger
        startedAt = loop.timestamp
        table = RegistrationTable(options.limits)
        logger.info("nsqlookupd v\(options.version) (built w/swift)")
        let tcpListener = try Self.listen(at: options.tcpAddress, on: loop)
        do throws(LookupStartError) {
            let httpListener = try Self.listen(at: options.httpAddress, on: loop)
            do throws(LookupStartError) {
                try openState()
            } catch {
                httpListener.close()
                throw error
            }
            serve(tcpListener, httpListener)
        } catch {
            tcpListener.close()
            throw error
        }
    }

    private static func listen(
        at text: String, on loop: Loop
    ) throws(LookupStartError) -> Listener {
        let address: SocketAddress
        do throws(MalformedAddress) {
            address = try SocketAddress(parsing: text)
        } catch {
            throw LookupStartError("listen (\(text)) failed - \(error)")
        }
        do throws(UVError) {
            return try Listener(on: loop, at: .tcp(address))
        } catch {
            throw LookupStartError(listeningAt: text, error)
        }
    }

    private func serve(_ tcpListener: Listener, _ httpListener: Listener) {
        tcp = LookupTCPServer(tcpListener, of: self)
        http = HTTPServer(serving: service, on: loop)
        http.limit = (options.connectionLimit, .failure(.tooManyConnections))
        logger.info("HTTP: listening on \(httpListener.endpoint)")
        http.accept(on: httpListener)
        addresses = Addresses(tcp: tcpListener.endpoint, http: httpListener.endpoint)
    }

    private(set) var addresses: Addresses!

    var connectionCounts: (tcp: Int, http: Int) { (tcp.connectionCount, http.connectionCount) }

    // MARK: State

    private func openState() throws(LookupStartError) {
        guard !options.dataPath.isEmpty else { return }
        let file: StateFile
        do throws(StateFileError) {
            file = try StateFile(folder: options.dataPath)
            try file.read()?.restore(&table, at: loop.timestamp)
        } catch {
            throw LookupStartError("\(error)")
        }
        store = StateSaver(
            file, on: loop, storedRevision: table.revision,
            revision: { [unowned self] in table.revision },
            json: { [unowned self] in lastState ?? state },
            onFailure: { [logger] in logger.error("the state is not stored: \($0)") })
    }

    private var state: [UInt8] { LookupState(of: table, at: loop.timestamp).json }

    // MARK: Registrations

    func receive(
        _ bytes: UnsafeRawBufferPointer, from session: inout LookupSession
    ) -> LookupSession.Output {
        let output = session.receive(
            bytes, &table, identity: identity, at: loop.timestamp)
        store?.store()
        return output
    }

    private var identity: LookupIdentity {
        LookupIdentity(
            version: options.version, tcpPort: addresses.tcp.tcpAddress?.port ?? 0,
            httpPort: addresses.http.tcpAddress?.port ?? 0, hostname: hostname,
            broadcastAddress: options.broadcastAddress)
    }

    func disconnect(_ session: inout LookupSession) {
        log(session.disconnect(&table))
        store?.store()
    }

    func log(_ lines: [LookupSession.LogLine]) {
        for line in lines { logger.log(level: line.level, "\(line.text)") }
    }

    /// Changes the table for a request of the HTTP API. Call ``whenStored(_:)`` afterwards to wait
    /// until the change is on disk.
    func change<Result, Failure: Error>(
        _ body: (inout RegistrationTable) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(&table)
    }

    /// Calls `done` with `nil` when all changes so far are synced to disk, or with the error of a
    /// failed write. Without a data path, calls it immediately.
    func whenStored(_ done: @escaping (StateFileError?) -> Void) {
        guard let store else { return done(nil) }
        store.store(done)
    }

    // MARK: Stopping

    /// Closes all connections, and stores the last changes.
    func stop(_ done: @escaping () -> Void) {
        if store != nil { lastState = state }
        tcp.stop()
        logger.info("HTTP: closing \(addresses.http)")
        http.stop { [self] in
            guard let store else { return done() }
            store.close(done)
        }
    }
}
