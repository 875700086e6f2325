import NSQClient
import NSQWire

/// The messages of one read from a connection, which are finished together.
struct ReceivedBatch {
    let messages: MessageBatch
    /// The indices of rejected messages. They are finished separately, after their publish to the
    /// topic of rejected messages.
    let rejected: Set<Int>

    /// The number of messages that are plays.
    var playCount: Int { messages.count - rejected.count }

    /// Finishes the messages that are plays.
    func finish(by consumer: ConsumerEngine) {
        guard !rejected.isEmpty else { return consumer.finish(messages) }
        for index in messages.indices where !rejected.contains(index) {
            consumer.finish(messages[index])
        }
    }
}

extension PlayProcessor.Settings {
    /// Parses the play in a message.
    ///
    /// - Throws: `Rejection` if the message is not a valid play, or was delivered too often.
    func play(in message: ReceivedMessage) throws(Rejection) -> Play {
        if maxAttempts > 0, message.attempts > maxAttempts { throw .tooManyAttempts }
        return try Play(parsing: message.body.bytes, limits: limits)
    }
}
