import TallyBasics
import BrokerCore
import Logging
import NSQWire
import UVLoop

/// Logs the events of the broker in the words of nsqd.
///
/// Of a client's errors with the same code, the first in each second is logged, and then one line
/// with the number of the further errors. This keeps a client from flooding the log.
final class BrokerEventLogger {
    private let loop: Loop
    /// Returns a client's name for the log.
    private let clientName: (SessionID) -> String
    /// Returns the current logger, whose level can change at run time.
    private let logger: () -> Logger
    /// The errors of the current interval by client and code.
    private var errors: [ErrorKind: SuppressedErrors] = [:]
    /// The number of errors in the current interval that are beyond ``maxKinds``.
    private var otherErrorCount = 0
    /// The timer of the current interval; `nil` between intervals.
    private var timer: Timer?

    private struct ErrorKind: Hashable {
        var client: SessionID
        var code: ProtocolError.Code
    }

    private struct SuppressedErrors {
        var clientName: String
        /// The number of errors that were not logged.
        var count = 0
    }

    private static let interval = Duration.seconds(1)
    /// The maximum number of combinations of client and code in one interval.
    static let maxKinds = 10_000

    init(
        on loop: Loop, clientName: @escaping (SessionID) -> String,
        logger: @escaping () -> Logger
    ) {
        self.loop = loop
        self.clientName = clientName
        self.logger = logger
    }

    func log(_ event: BrokerEvent) {
        let logger = logger()
        switch event {
        case .messagesUnreadable(let topic, let error):
            logger.error("TOPIC(\(topic)): \(error)")
        case .topicCreated(let topic): logger.info("TOPIC(\(topic)): created")
        case .topicDeleted(let topic, let channels):
            logger.info("TOPIC(\(topic)): deleted with \(counted(channels.count, "channel"))")
        case .channelCreated(let topic, let channel):
            logger.info("TOPIC(\(topic)): new channel(\(channel))")
        case .channelDeleted(let topic, let channel):
            logger.info("TOPIC(\(topic)): deleted channel(\(channel))")
        case .topicPaused(let topic, let isPaused):
            logger.info("TOPIC(\(topic)): \(isPaused ? "paused" : "unpaused")")
        case .channelPaused(let topic, let channel, let isPaused):
            logger.info("TOPIC(\(topic)): channel(\(channel)) \(isPaused ? "paused" : "unpaused")")
        case .clientFailed(let id, let error): log(error, of: id)
        case .connectionClosed(let id, let reason):
            logger.info("[\(clientName(id))] closing: \(reason.rawValue)")
        }
    }

    private func log(_ error: ProtocolError, of client: SessionID) {
        let kind = ErrorKind(client: client, code: error.code)
        if errors[kind] != nil { return errors[kind]!.count += 1 }
        guard errors.count < Self.maxKinds else { return otherErrorCount += 1 }
        let name = clientName(client)
        errors[kind] = SuppressedErrors(clientName: name)
        logger().error("[\(name)] - \(error)")
        guard timer == nil else { return }
        let timer = Timer(on: loop)
        self.timer = timer
        timer.start(after: Self.interval) { [weak self] in self?.finish() }
    }

    /// Logs the numbers of errors that were not logged, and ends the interval.
    func finish() {
        timer?.close()
        timer = nil
        let logger = logger()
        for (kind, error) in errors where error.count > 0 {
            logger.error("[\(error.clientName)] - and \(error.count) more \(kind.code.rawValue)")
        }
        if otherErrorCount > 0 { logger.error("and \(otherErrorCount) more errors of clients") }
        errors = [:]
        otherErrorCount = 0
    }
}
