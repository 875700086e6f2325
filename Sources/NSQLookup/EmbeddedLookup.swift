import Logging
import UVLoop

/// An nsqlookupd that runs inside the process, on a thread of its own.
///
/// An nsqlookupd that is deallocated without ``stop()`` closes its connections and ends its thread.
package final class EmbeddedLookup: Sendable {
    /// The bound address for nsqds, as `host:port`. If port 0 was requested, it has the port that
    /// the kernel assigned.
    package let tcpAddress: String
    /// The bound address of the HTTP API, as `host:port`. If port 0 was requested, it has the port
    /// that the kernel assigned.
    package let httpAddress: String

    private let host: LoopHost<LookupServer>

    private init(_ addresses: LookupServer.Addresses, on host: LoopHost<LookupServer>) {
        tcpAddress = addresses.tcp.description
        httpAddress = addresses.http.description
        self.host = host
    }

    /// Starts an nsqlookupd, and returns when it accepts connections.
    ///
    /// - Parameters:
    ///   - options: the options of the nsqlookupd.
    ///   - logger: receives the lines of the log.
    ///   - clock: the clock of the timeouts; a test can pass a manual clock.
    /// - Throws: ``LookupStartError`` if an option, an address or the data path cannot be used.
    package static func start(
        _ options: LookupServerOptions = LookupServerOptions(), logger: Logger,
        clock: Loop.Clock = .system
    ) async throws(LookupStartError) -> EmbeddedLookup {
        try options.validate()
        do {
            let (host, addresses) = try await LoopHost.start(
                threadName: "nsqlookupd", clock: clock
            ) { loop in
                let server = try LookupServer(options, on: loop, logger: logger)
                return (server, server.addresses!)
            }
            return EmbeddedLookup(addresses, on: host)
        } catch let error as LookupStartError {
            throw error
        } catch {
            throw LookupStartError("\(error)")
        }
    }

    /// Advances a manual clock, and returns when all timers that became due have run.
    package func advance(by duration: Duration) async { await host.advance(by: duration) }

    /// Closes all connections, ends the thread, and returns when both are done.
    package func stop() async { await host.stop() }
}
