import Logging
import NSQAdmin

/// The data behind the pages of topics and nodes: nsqadmin's API, and the monitor that polls the
/// cluster. Several servers can share it; each has its own ``TopicsRoutes``.
package final class TopicsPage: Sendable {
    let api: AdminAPI
    let monitor: ClusterMonitor

    /// Starts to poll the cluster. Call ``stop()`` at the end.
    ///
    /// - Throws: ``AdminStartError`` if an option is invalid, or if the process has no file descriptors
    ///   or threads left.
    package init(_ options: AdminOptions, logger: Logger) throws(AdminStartError) {
        api = try AdminAPI(options, logger: logger)
        monitor = ClusterMonitor(api)
    }

    /// Ends the event streams of the browsers, the polls, and the requests to the cluster that are
    /// in progress.
    package func stop() async {
        await monitor.stop()
        await api.stop()
    }
}
