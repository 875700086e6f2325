import BrokerCore
import Logging
import UVLoop

/// Sends the statistics of the broker to statsd, once per interval.
///
/// The datagrams of a report are spread evenly over the interval, except for its last second. A
/// report with many topics therefore does not overflow the socket buffer of statsd.
final class StatsdPusher {
    // The broker server owns this object and outlives it.
    private unowned let server: BrokerServer
    private let options: StatsdOptions
    private let address: String
    private var report: StatsdReport
    private let intervalTimer: Timer
    private let datagramTimer: Timer
    private var sender: DatagramSender?
    private var pendingDatagrams: ArraySlice<[UInt8]> = []

    init(of server: BrokerServer) {
        self.server = server
        options = server.options.statsd
        address = options.address
        let addresses = server.options.addresses
        report = StatsdReport(
            options, host: "\(addresses.broadcast):\(addresses.broadcastHTTPPort)")
        intervalTimer = Timer(on: server.loop)
        datagramTimer = Timer(on: server.loop)
    }

    /// Starts the timer. The first report is sent after one interval.
    func start() {
        intervalTimer.start(after: options.interval, repeating: options.interval) { [weak self] in
            self?.push()
        }
    }

    /// Stops the timers and closes the socket.
    func stop() {
        intervalTimer.close()
        datagramTimer.close()
        sender?.close()
    }

    private func push() {
        guard let target = try? SocketAddress(parsing: address),
            let sender = try? DatagramSender(on: server.loop)
        else { return logFailure("no such address") }
        finishReport()
        self.sender = sender
        // Each report resolves the host name again, because its address may have changed.
        sender.connect(to: target) { [weak self] error in
            if let error { self?.logFailure("\(error)") } else { self?.sendReport() }
        }
    }

    private func logFailure(_ reason: String) {
        server.logger.error("failed to create UDP socket to statsd(\(address)): \(reason)")
    }

    private func sendReport() {
        server.logger.info("STATSD: pushing stats to \(address)")
        let statistics = server.broker.statistics(at: server.now)
        pendingDatagrams = report.datagrams(of: statistics, memory: statistics.memory)[...]
        guard !pendingDatagrams.isEmpty else { return }
        let delay = max(.zero, options.interval - .seconds(1)) / pendingDatagrams.count
        sendNext()
        guard !pendingDatagrams.isEmpty else { return finishReport() }
        datagramTimer.start(after: delay, repeating: delay) { [weak self] in self?.sendNext() }
    }

    private func sendNext() {
        if let datagram = pendingDatagrams.popFirst() { sender?.send(datagram) }
        if pendingDatagrams.isEmpty { finishReport() }
    }

    /// Sends the remaining datagrams of the report at once, and closes the socket.
    private func finishReport() {
        datagramTimer.stop()
        for datagram in pendingDatagrams { sender?.send(datagram) }
        pendingDatagrams = []
        sender?.close()
        sender = nil
    }
}
