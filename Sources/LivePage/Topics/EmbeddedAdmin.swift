import Logging
import NSQAdmin
import UVLoop

/// An nsqadmin that runs inside the process, on a thread of its own.
package final class EmbeddedAdmin: Sendable {
    /// The bound address, as `host:port` with the port that the kernel assigned.
    package let httpAddress: String

    private let page: TopicsPage
    private let host: LoopHost<AdminServer>

    private init(_ page: TopicsPage, on host: LoopHost<AdminServer>, at address: String) {
        self.page = page
        self.host = host
        httpAddress = address
    }

    /// Starts an nsqadmin, and returns when it accepts connections.
    ///
    /// - Parameters:
    ///   - options: the options of the nsqadmin.
    ///   - logger: receives the lines of the log, at the level of the options.
    /// - Throws: ``AdminStartError`` if an option or the address cannot be used.
    package static func start(
        _ options: AdminOptions, logger: Logger
    ) async throws(AdminStartError) -> EmbeddedAdmin {
        let page = try TopicsPage(options, logger: logger)
        page.api.logger.info("nsqadmin v\(options.version) (built w/swift)")
        do {
            let (host, address) = try await LoopHost.start(threadName: "nsqadmin") { loop in
                let server = AdminServer(page, on: loop)
                return (server, try server.listen())
            }
            return EmbeddedAdmin(page, on: host, at: address)
        } catch {
            await page.stop()
            throw error as? AdminStartError ?? AdminStartError("\(error)")
        }
    }

    /// Closes all connections, ends the thread, and returns when both are done.
    package func stop() async {
        await page.monitor.stop()
        await host.stop()
        await page.stop()
    }
}
