import BrokerCore
import HTTP
import NSQWire
import TallyBasics
import TallyJSON

/// Handles `/topic/ttl`, the lifetimes of messages. nsqd has no lifetimes, so `/stats` does not
/// contain them.
extension BrokerHTTPService {
    func setLifetime(_ request: HTTPRequest) throws(HTTPFailure) {
        let query = try query(of: request)
        let topic = try topic(in: query)
        guard let text = query["ttl"], let lifetime = Duration(goText: text), lifetime >= .zero
        else { throw .invalidValue }
        guard
            broker.setLifetime(
                min(lifetime, Limits.longestDuration), of: topic, at: server.now)
        else { throw .topicNotFound }
    }

    /// The lifetimes and the numbers of expired messages of all topics, or of one.
    func lifetimes(_ request: HTTPRequest) throws(HTTPFailure) -> [UInt8] {
        let query = try query(of: request)
        let only = query["topic"] == nil ? nil : try topic(in: query)
        let expired = Dictionary(
            uniqueKeysWithValues: broker.statistics(at: server.now).topics.map { ($0.name, $0) })
        let topics = broker.lifetimes.filter { only == nil || $0.topic == only }
        return JSONWriter.object { json in
            json.name("topics")
            json.array(topics) { json, topic in
                json.object { json in
                    json.member("topic_name", topic.topic.text)
                    json.member(
                        "ttl", GoText.duration(nanoseconds: topic.lifetime.nanoseconds))
                    json.name("channels")
                    json.array(expired[topic.topic]?.channels ?? []) { json, channel in
                        json.object {
                            $0.member("channel_name", channel.name.text)
                            $0.member("expired_count", channel.expiredCount)
                        }
                    }
                }
            }
        }
    }
}
