import BrokerCore
import HTTP
import NSQWire
import TallyBasics
import UVLoop

/// Handles `/handover`, which receives the messages of another broker that is being drained. nsqd does
/// not have this route.
extension BrokerHTTPService {
    func receiveHandOver(_ request: HTTPRequest) throws(HTTPFailure) {
        let query = try query(of: request)
        let topic = try topic(in: query)
        let channels = try channels(in: query)
        guard !topic.isEphemeral, channels.allSatisfy({ !$0.isEphemeral }) else {
            throw .invalidTopic
        }
        guard let messages = HandOverBody.messages(in: request.body, options: broker.options) else {
            throw .badBody
        }
        let isForChannels = GoText.bool(query["only"], absent: false, other: false)
        var refusal: HandOverRefusal?
        request.body.withUnsafeBytes { bytes in
            do throws(HandOverRefusal) {
                try broker.receiveHandOver(
                    messages.map { (bytes.view($0.body), $0.delay) }, to: topic,
                    channels: channels, isForChannels: isForChannels, at: server.now)
            } catch {
                refusal = error
            }
        }
        switch refusal {
        case nil: return
        case .publish(.refused(.draining)): throw .draining
        case .publish(.refused(.stopping)): throw .exiting
        case .publish(.memoryIsFull): throw .memoryIsFull
        case .tooMany: throw .tooManyChannels
        case .held: throw .topicHeld
        }
    }

    /// Calls `completion` when the messages of the request and the channels that receive them are
    /// durable, or with the error of the message log.
    ///
    /// A loop iteration first writes the messages. Then it dispatches them, and writes which
    /// channels do not receive them. Without the second record, a broker that is killed would
    /// dispatch the messages to all channels after its restart.
    func whenDispatched(
        _ topic: TopicName?, _ completion: @escaping (MessageLogError?) -> Void
    ) {
        broker.whenDurable { [self] error in
            guard error == nil else { return completion(error) }
            waitForDispatch(topic, completion)
        }
    }

    private func waitForDispatch(
        _ topic: TopicName?, _ completion: @escaping (MessageLogError?) -> Void
    ) {
        server.loop.runInNextIteration { [self] in
            if let topic, broker.isDispatchingToSomeChannels(topic) {
                waitForDispatch(topic, completion)
            } else {
                broker.whenDurable(completion)
            }
        }
    }

    /// The maximum number of channels in a request.
    private static let maxChannels = 10_000

    private func channels(in query: HTTPQuery) throws(HTTPFailure) -> [ChannelName] {
        let texts = (query["channels"] ?? "").split(separator: ",")
        let names = texts.compactMap { ChannelName(String($0)) }
        guard names.count == texts.count, names.count <= Self.maxChannels else {
            throw .invalidChannelArgument
        }
        return names
    }
}
