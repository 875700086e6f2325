import BrokerCore
import Logging
import UVLoop

/// Tells a statsd of the broker's statistics, once in an interval.
///
/// The datagrams of a push are spread over the interval but for its last second, so that one that
/// has much to say does not drown the others.
final class StatsdPusher {
    // It lives as long as its server, which holds it.
    private unowned let server: BrokerServer
    private let options: StatsdOptions
    private let address: String
    private var report: StatsdReport
    private let ticker: Timer
    private let spreader: Timer
    private var sender: DatagramSender?
    private var waiting: ArraySlice<[UInt8]> = []

    init(of server: BrokerServer) {
        self.server = server
        options = server.options.statsd
        address = options.address
        let place = server.options.addresses
        report = StatsdReport(options, host: "\(place.broadcast):\(place.broadcastHTTPPort)")
        ticker = Timer(on: server.loop)
        spreader = Timer(on: server.loop)
    }

    /// The first push comes after one interval.
    func start() {
        ticker.start(after: options.interval, repeating: options.interval) { [weak self] in
            self?.push()
        }
    }

    func stop() {
        ticker.close()
        spreader.close()
        sender?.close()
    }

    private func push() {
        guard let place = try? SocketAddress(parsing: address),
            let sender = try? DatagramSender(on: server.loop)
        else { return failed("no such address") }
        finishPush()
        self.sender = sender
        // The name is looked up anew each time, as it may have moved.
        sender.connect(to: place) { [weak self] error in
            if let error { self?.failed("\(error)") } else { self?.begin() }
        }
    }

    private func failed(_ reason: String) {
        server.logger.error("failed to create UDP socket to statsd(\(address)): \(reason)")
    }

    private func begin() {
        server.logger.info("STATSD: pushing stats to \(address)")
        let statistics = server.broker.statistics(at: server.now)
        waiting = report.datagrams(of: statistics, memory: statistics.memory)[...]
        guard !waiting.isEmpty else { return }
        let pause = max(.zero, options.interval - .seconds(1)) / waiting.count
        sendNext()
        guard !waiting.isEmpty else { return finishPush() }
        spreader.start(after: pause, repeating: pause) { [weak self] in self?.sendNext() }
    }

    private func sendNext() {
        if let datagram = waiting.popFirst() { sender?.send(datagram) }
        if waiting.isEmpty { finishPush() }
    }

    /// Sends what is left of a push, if its time is up.
    private func finishPush() {
        spreader.stop()
        for datagram in waiting { sender?.send(datagram) }
        waiting = []
        sender?.close()
        sender = nil
    }
}
