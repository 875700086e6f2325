import TallyJSON

/// A page of messages of a queue, as tally's nsqd shows it.
package struct QueuedMessages: Sendable {
    /// One message, with the members of its JSON object in the response.
    package struct Message: Sendable, Equatable {
        package let id: String
        /// The time of the publish in nanoseconds since 1970.
        package let timestamp: Int
        package let attempts: Int
        /// `ready`, `in_flight` or `deferred`.
        package let state: String
        /// The time until the timeout or the end of the deferral, in milliseconds.
        package let timeLeftMilliseconds: Int?
        /// The client to which the message is in flight: its ID and its address.
        package let client: String?
        package let bodyBytes: Int
        package let isCut: Bool
        /// `text`, `json` or `hex`.
        package let bodyFormat: String
        package let body: String
    }

    package let messages: [Message]
    /// The position after the page; `nil` at the end of the queue.
    package let next: String?
    /// The whole response.
    package let json: JSONValue

    init?(json: JSONValue) {
        guard case .array(let messages) = json["messages"] else { return nil }
        self.messages = messages.compactMap { Message(json: $0) }
        next = json["next"].flatMap { String(json: $0) }
        self.json = json
    }
}

extension QueuedMessages.Message {
    init?(json: JSONValue) {
        func text(_ name: String) -> String? { json[name].flatMap { String(json: $0) } }
        func number(_ name: String) -> Int? { json[name].flatMap { Int(json: $0) } }
        guard let id = text("id"), let timestamp = number("timestamp"),
            let attempts = number("attempts"), let state = text("state"),
            let bodyBytes = number("body_bytes"), let format = text("body_format"),
            let body = text("body")
        else { return nil }
        self.id = id
        self.timestamp = timestamp
        self.attempts = attempts
        self.state = state
        timeLeftMilliseconds = number("time_left_ms")
        client = json["client"].map { client in
            let words = ["client_id", "remote_address"].compactMap {
                client[$0].flatMap { String(json: $0) }
            }
            return words.filter { !$0.isEmpty }.joined(separator: " at ")
        }
        self.bodyBytes = bodyBytes
        isCut = json["body_cut"].flatMap { Bool(json: $0) } ?? false
        bodyFormat = format
        self.body = body
    }
}
