import TallyBasics
import TallyJSON

/// The state of a drain, from the broker's response.
struct DrainReport {
    let state: String
    let messagesLeft: Int
    let messagesAtStart: Int
    let perSecond: Double
    /// The reasons why messages are not moved.
    let errors: [String]

    /// - Returns: `nil` if the response is malformed.
    init?(_ json: JSONValue) {
        guard let state = json["state"].flatMap({ String(json: $0) }),
            let left = json["messages_left"].flatMap({ Int(json: $0) }), left >= 0,
            let start = json["messages_at_start"].flatMap({ Int(json: $0) }), start >= 0
        else { return nil }
        self.state = state
        messagesLeft = left
        messagesAtStart = start
        perSecond = json.decimal("messages_per_second")
        let handOver = json["hand_over"]
        let address = handOver?.text("address") ?? ""
        let topics = json.elements("topics") ?? []
        errors =
            [handOver?.text("error") ?? ""].filter { !$0.isEmpty }.map { "\(address): \($0)" }
            + topics.filter { !$0.text("error").isEmpty }
            .map { "topic \($0.text("topic_name")): \($0.text("error"))" }
    }

    /// The number of messages that are left and, above 0, the rate at which they leave.
    var summary: String {
        let left = "\(counted(messagesLeft, "message")) left"
        return perSecond > 0 ? "\(left), \(perSecond.rounded(to: 1)) per second" : left
    }
}
