import BrokerCore
import Logging

/// Logs the events of the broker in the words of nsqd.
struct BrokerEventLogger {
    let logger: Logger
    /// Returns a client's name for the log.
    let clientName: (SessionID) -> String

    func log(_ event: BrokerEvent) {
        switch event {
        case .messagesUnreadable(let topic, let error):
            logger.error("TOPIC(\(topic)): \(error)")
        case .topicCreated(let topic): logger.info("TOPIC(\(topic)): created")
        case .topicDeleted(let topic): logger.info("TOPIC(\(topic)): deleted")
        case .channelCreated(let topic, let channel):
            logger.info("TOPIC(\(topic)): new channel(\(channel))")
        case .channelDeleted(let topic, let channel):
            logger.info("TOPIC(\(topic)): deleted channel(\(channel))")
        case .topicPaused(let topic, let isPaused):
            logger.info("TOPIC(\(topic)): \(isPaused ? "paused" : "unpaused")")
        case .channelPaused(let topic, let channel, let isPaused):
            logger.info("TOPIC(\(topic)): channel(\(channel)) \(isPaused ? "paused" : "unpaused")")
        case .clientFailed(let id, let error):
            logger.error("[\(clientName(id))] - \(error)")
        case .connectionClosed(let id, let reason):
            logger.info("[\(clientName(id))] closing: \(reason.rawValue)")
        }
    }
}
