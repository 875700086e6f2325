import BrokerCore
import HTTP
import NSQWire
import TallyBasics
import TallyJSON
import UVLoop

/// Handles `/drain`, which begins, reports and cancels the drain of the broker. nsqd does not have
/// this route.
extension BrokerHTTPService {
    /// The maximum number of topics in a report: those with the most messages.
    private static let maxReportedTopics = 100

    func perform(
        _ action: BrokerRoute.DrainAction, _ request: HTTPRequest
    ) throws(HTTPFailure) -> HTTPResponse {
        switch action {
        case .begin: server.drain.begin(handingOverTo: try handOver(request))
        case .cancel: server.drain.cancel()
        case .report: break
        }
        let report = drainReport
        server.drain.didReport()
        return .nsqJSON(report)
    }

    /// Returns the hand-over that a request asks for; `nil` for none.
    private func handOver(_ request: HTTPRequest) throws(HTTPFailure) -> HandOver? {
        let query = try query(of: request)
        guard let address = query["to"] else { return nil }
        guard let destination = HandOverDestination(address, of: server) else {
            throw .invalidAddress
        }
        return HandOver(
            to: destination,
            allowsDuplicates: GoText.bool(query["allow_duplicates"], absent: false, other: false),
            of: server)
    }

    private var drainReport: [UInt8] {
        let drain = server.drain
        let counts = broker.unfinishedCounts
        let topics = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .prefix(Self.maxReportedTopics)
        return JSONWriter.object { json in
            json.member("state", drain.state.rawValue)
            json.member("messages_left", counts.values.reduce(0, +))
            json.member("messages_at_start", drain.rate.atStart)
            json.member("messages_per_second", drain.rate.perSecond)
            json.member("topic_count", counts.count)
            json.name("topics")
            json.array(topics) { json, topic in
                json.object {
                    $0.member("topic_name", topic.key.text)
                    $0.member("messages_left", topic.value)
                    $0.member("error", drain.handOver?.failure(of: topic.key))
                }
            }
            json.name("hand_over")
            guard let handOver = drain.handOver else { return json.null() }
            json.object {
                $0.member("address", handOver.destination.address)
                $0.member("program", handOver.destination.program?.description)
                $0.member("messages_acknowledged", handOver.acknowledgedCount)
                $0.member("error", handOver.failure)
            }
        }
    }
}
