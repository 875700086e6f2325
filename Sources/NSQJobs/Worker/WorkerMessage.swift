import NSQClient
import UVLoop

/// A received message that names a job. The messages of a batch are finished together, when none of them
/// waits for its claim any more, except those that are held for a running job.
struct WorkerMessage: Sendable {
    /// The index of the consumer that has received the message.
    let source: Int
    /// The job that is the message itself; `nil` if the message names a stored job.
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

    /// The number of deliveries, including this one.
    var attempts: Int { message.attempts }

    /// Finishes the message, with its batch.
    func finish() { batch.end(message) }

    /// Requeues the message for another worker.
    func requeue(after delay: Duration = .zero) { batch.requeue(message, after: delay) }

    /// Excludes the message from its batch, so that the others do not wait for ``finishHeld()``.
    func hold() { batch.hold() }

    /// Finishes the message after ``hold()``.
    func finishHeld() { batch.finishHeld(message) }

    /// Requeues the message after ``hold()``.
    func requeueHeld(after delay: Duration) { batch.requeueHeld(message, after: delay) }

    /// Returns the messages of a batch with their bodies' references. Malformed messages are finished and
    /// passed to `onMalformed`.
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

    func hold() { answer { $0.hasHeld = true } }

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
        // Finishing the whole batch costs the least, and finishes those that were not requeued.
        guard hasHeld else { return consumer.finish(batch) }
        for message in finished { consumer.finish(message) }
    }
}
