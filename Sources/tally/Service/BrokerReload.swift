import Glibc
import Logging
import NSQBroker
import UVLoop

/// Reads the certificates and the log level of a running broker again at each SIGHUP. Go's nsqd
/// ends at SIGHUP instead.
///
/// Only one reload runs at a time. A signal that arrives during a reload causes another reload
/// afterwards. A signal before the start of the broker causes a reload after the start. A signal
/// during the shutdown is ignored.
actor BrokerReload {
    private let configuration: BrokerConfiguration
    private let keepsCertificate: Bool
    private let logger: Logger
    /// The running broker; `nil` before its start, and after the shutdown has begun.
    private var broker: EmbeddedBroker?
    private var isRunning = false
    private var isRequested = false
    private var signals: RepeatedSignals?

    private init(
        _ configuration: BrokerConfiguration, keepsCertificate: Bool, _ logger: Logger
    ) {
        self.configuration = configuration
        self.keepsCertificate = keepsCertificate
        self.logger = logger
    }

    /// Starts to handle SIGHUP. When this method returns, SIGHUP no longer ends the process.
    ///
    /// - Parameter keepsCertificate: `true` if a client in this process trusts only the certificate
    ///   that was loaded at the start. Then only the log level is reloaded.
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    static func watch(
        _ configuration: BrokerConfiguration, keepsCertificate: Bool = false, _ logger: Logger
    ) async throws -> BrokerReload {
        let reload = BrokerReload(configuration, keepsCertificate: keepsCertificate, logger)
        let signals = try await RepeatedSignals.watch(SIGHUP) { Task { await reload.perform() } }
        await reload.hold(signals)
        return reload
    }

    private func hold(_ signals: RepeatedSignals) { self.signals = signals }

    /// Sets the broker to reload. A signal that arrived earlier now causes a reload.
    func start(_ broker: EmbeddedBroker) async {
        self.broker = broker
        if isRequested { await perform() }
    }

    /// Ignores further signals.
    func stop() { broker = nil }

    private func perform() async {
        isRequested = true
        guard !isRunning else { return }
        isRunning = true
        while isRequested, let broker {
            isRequested = false
            await reload(broker)
        }
        isRunning = false
    }

    private func reload(_ broker: EmbeddedBroker) async {
        ServiceManager.current.notifyReloading()
        do {
            let level = try configuration.reloadedLevel()
            try await broker.reload(level: level, certificates: !keepsCertificate)
            if let level { configuration.setLevel(level) }
            let outcome =
                keepsCertificate
                ? "the log level was read again; the certificate stays until a restart, because the "
                    + "processor trusts exactly this one"
                : "certificates and the log level were read again"
            logger.info("SIGHUP: \(outcome)")
        } catch {
            logger.error("SIGHUP: nothing was changed: \(error)")
        }
        ServiceManager.current.notifyReady()
    }
}
