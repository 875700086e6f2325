import NSQClient
import UVLoop

/// A received message that names a job. The messages of a batch are finished together, when the claims
/// of all of them have ended. Only the messages that are held for a running job are finished later.
struct WorkerMessage: Sendable {
    /// The index of the consumer that has received the message.
    let source: Int
    /// The fleeting job that the message contains; `nil` if the message names a stored job.
    let fleeting: FleetingMessage?
    private let message: Message
    private let batch: PendingBatch

    fileprivate init(
        _ message: Message, of batch: PendingBatch, from source: Int,
        fleeting: FleetingMessage? = nil
    ) {
        self.message = message
        self.batch = batch
        self.source = source
        self.fleeting = fleeting
    }

    /// The number of deliveries, including this one and, for a fleeting job, those of its earlier messages.
    var attempts: Int { message.attempts + (fleeting?.earlierAttempts ?? 0) }

    /// Finishes the message, with its batch.
    func finish() { batch.end(message) }

    /// Requeues the message for another worker.
    func requeue(after delay: Duration = .zero) { batch.requeue(message, after: delay) }

    /// Counts the message as answered in its batch, so that the other messages do not wait for it.
    /// ``finishHeld()`` or ``requeueHeld(after:)`` answers it later.
    func countHeld() { batch.countHeld() }

    /// Finishes the message after ``countHeld()``.
    func finishHeld() { batch.finishHeld(message) }

    /// Requeues the message after ``countHeld()``.
    func requeueHeld(after delay: Duration) { batch.requeueHeld(message, after: delay) }

    /// Returns the messages of a batch, each with the job reference in its body. Malformed messages are
    /// finished and passed to `onMalformed`.
    static func messages(
        of batch: MessageBatch, to topic: JobTopic, from consumer: Consumer, _ source: Int,
        onMalformed: (Message) -> Void
    ) -> [(JobReference, WorkerMessage)] {
        let pending = PendingBatch(batch, consumer)
        var messages: [(JobReference, WorkerMessage)] = []
        messages.reserveCapacity(batch.count)
        for message in batch {
            if let job = message.withBody({ FleetingMessage(parsing: $0, of: topic) }) {
                let token = WorkerMessage(message, of: pending, from: source, fleeting: job)
                messages.append((JobReference(id: job.id, version: 1), token))
            } else if let parsed = message.withBody({ JobMessage(parsing: $0) }) {
                messages.append(
                    (parsed.reference, WorkerMessage(message, of: pending, from: source)))
            } else {
                onMalformed(message)
                pending.end(message)
            }
        }
        return messages
    }
}

/// A batch of messages, and the number of those without an answer.
private final class PendingBatch: Sendable {
    private struct State {
        var unanswered: Int
        var finished: [Message] = []
        var hasHeld = false
    }

    private let batch: MessageBatch
    private let consumer: Consumer
    private let state: LockedValue<State>

    init(_ batch: MessageBatch, _ consumer: Consumer) {
        self.batch = batch
        self.consumer = consumer
        state = LockedValue(State(unanswered: batch.count))
    }

    func end(_ message: Message) { answer { $0.finished.append(message) } }

    func requeue(_ message: Message, after delay: Duration) {
        consumer.requeue(message, after: delay)
        answer { _ in }
    }

    func countHeld() { answer { $0.hasHeld = true } }

    func finishHeld(_ message: Message) { consumer.finish(message) }

    func requeueHeld(_ message: Message, after delay: Duration) {
        consumer.requeue(message, after: delay)
    }

    private func answer(_ record: (inout State) -> Void) {
        let (finished, hasHeld) = state.withLock { state in
            record(&state)
            state.unanswered -= 1
            return state.unanswered == 0 ? (state.finished, state.hasHeld) : ([], false)
        }
        guard !finished.isEmpty else { return }
        // Finishing the whole batch costs the least, and finishes only the messages that were not
        // requeued.
        guard hasHeld else { return consumer.finish(batch) }
        for message in finished { consumer.finish(message) }
    }
}
