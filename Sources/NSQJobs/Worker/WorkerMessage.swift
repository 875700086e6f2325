import NSQClient
import UVLoop

/// A received message that names a job. The messages of a batch are finished together, when none of them
/// waits for its claim any more.
struct WorkerMessage: Sendable {
    private let message: Message
    private let batch: PendingBatch

    fileprivate init(_ message: Message, of batch: PendingBatch) {
        self.message = message
        self.batch = batch
    }

    /// Finishes the message, with its batch.
    func finish() { batch.end() }

    /// Requeues the message for another worker.
    func requeue(after delay: Duration = .zero) { batch.requeue(message, after: delay) }

    /// Returns the messages of a batch with their bodies' references. Malformed messages are finished and
    /// passed to `onMalformed`.
    static func messages(
        of batch: MessageBatch, from consumer: Consumer, onMalformed: (Message) -> Void
    ) -> [(JobReference, WorkerMessage)] {
        let pending = PendingBatch(batch, consumer)
        var messages: [(JobReference, WorkerMessage)] = []
        messages.reserveCapacity(batch.count)
        for message in batch {
            let parsed = message.withBody { JobMessage(parsing: $0) }
            if let parsed {
                messages.append((parsed.reference, WorkerMessage(message, of: pending)))
            } else {
                onMalformed(message)
                pending.end()
            }
        }
        return messages
    }
}

/// A batch of messages, and the number of those without an answer.
private final class PendingBatch: Sendable {
    private struct State {
        var unanswered: Int
        var finished = 0
    }

    private let batch: MessageBatch
    private let consumer: Consumer
    private let state: LockedValue<State>

    init(_ batch: MessageBatch, _ consumer: Consumer) {
        self.batch = batch
        self.consumer = consumer
        state = LockedValue(State(unanswered: batch.count))
    }

    func end() { answer(finishing: true) }

    func requeue(_ message: Message, after delay: Duration) {
        consumer.requeue(message, after: delay)
        answer(finishing: false)
    }

    private func answer(finishing isFinished: Bool) {
        let isComplete = state.withLock { state in
            state.unanswered -= 1
            if isFinished { state.finished += 1 }
            return state.unanswered == 0 && state.finished > 0
        }
        // Finishes those that were not requeued.
        if isComplete { consumer.finish(batch) }
    }
}
