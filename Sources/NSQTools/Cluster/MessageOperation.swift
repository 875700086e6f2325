import TallyJSON

/// The progress of a change of many messages, as tally's nsqd shows it.
package struct MessageOperation: Sendable, Equatable {
    package let number: Int
    package let topic: String
    package let channel: String
    /// `count`, `delete`, `requeue`, `defer` or `move`.
    package let action: String
    /// `running`, `finished`, `cancelled` or `failed`.
    package let state: String
    /// The code of the error; `nil` unless the operation has failed.
    package let error: String?
    /// The number of unfinished messages of the channel at the start.
    package let messages: Int
    package let examined: Int
    package let selected: Int
    package let changed: Int

    package var isRunning: Bool { state == "running" }

    init?(json: JSONValue) {
        func text(_ name: String) -> String? { json[name].flatMap { String(json: $0) } }
        func integer(_ name: String) -> Int? { json[name].flatMap { Int(json: $0) } }
        guard let number = integer("operation"), let topic = text("topic"),
            let channel = text("channel"), let action = text("action"), let state = text("state"),
            let messages = integer("messages"), let examined = integer("examined"),
            let selected = integer("selected"), let changed = integer("changed")
        else { return nil }
        self.number = number
        self.topic = topic
        self.channel = channel
        self.action = action
        self.state = state
        error = text("error")
        self.messages = messages
        self.examined = examined
        self.selected = selected
        self.changed = changed
    }
}
