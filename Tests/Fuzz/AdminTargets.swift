import NSQWire
import TallyJSON

@testable import NSQAdmin

/// Passes the input to nsqadmin as the response of an nsqd or an nsqlookupd, and as the body of a request.
/// The response that nsqadmin makes of it must be JSON.
@Sendable func fuzzNSQAdmin(_ bytes: Bytes) {
    let input = Array(bytes)
    _ = try? AdminBody(input).text("topic")
    guard let json = try? JSONValue(parsingLikeGo: input, keptDepth: 8) else { return }
    let info = NodeInfo(json)
    let parts = TopicStatistics.topics(in: json, of: info)
    let sum = TopicStatistics(sumOf: parts, name: "topic")
    for response in [
        AdminJSON.topic(sum, [], now: 0), AdminJSON.channel(sum.channels.first, [], now: 0),
        AdminJSON.nodes([info], []),
    ] {
        let parsed = try? JSONValue(parsingStrictly: response, maxDepth: 20)
        precondition(parsed != nil, "the response is not JSON")
    }
    var snapshot = ClusterSnapshot(
        nodes: [info], names: [], parts: parts, reached: [info.httpAddress], time: 0)
    snapshot.number = 1
    var next = snapshot
    next.setRates(since: snapshot, seconds: 1)
    precondition(next.totals.incoming ?? 0 == 0, "equal snapshots have a rate")
}
