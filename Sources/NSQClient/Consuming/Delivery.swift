import NSQWire

/// A message that its owner finishes or requeues exactly once. ``finish()`` and ``requeue(after:)``
/// consume the delivery, so the compiler refuses a second answer. A delivery that goes out of scope
/// without an answer is requeued at once, and logged.
public struct Delivery: ~Copyable, Sendable {
    /// The message.
    public let message: Message

    private let answers: any DeliveryAnswers
    private var isAnswered = false

    init(_ message: Message, _ answers: any DeliveryAnswers) {
        self.message = message
        self.answers = answers
    }

    /// The number of deliveries of the message, including this one.
    public var attempts: Int { message.attempts }

    /// A copy of the body.
    public var body: [UInt8] { message.body }

    /// Finishes the message (`FIN`).
    public consuming func finish() {
        isAnswered = true
        answers.finishDelivery(message)
    }

    /// Requeues the message (`REQ`).
    ///
    /// - Parameter delay: the time until nsqd delivers the message again, none by default. It is
    ///   rounded up to milliseconds, and nsqd limits it to its `--max-req-timeout`, an hour by default.
    public consuming func requeue(after delay: Duration = .zero) {
        isAnswered = true
        answers.requeue(message, after: delay)
    }

    /// Restarts the message's timeout (`TOUCH`), up to nsqd's `--max-msg-timeout` in total.
    public borrowing func touch() {
        answers.touch(message)
    }

    deinit {
        if !isAnswered { answers.requeueUnanswered(message) }
    }
}

/// The consumer that sends the answers of a delivery.
protocol DeliveryAnswers: Sendable {
    func finishDelivery(_ message: Message)
    func requeue(_ message: Message, after delay: Duration)
    func touch(_ message: Message)
    /// Requeues a message whose delivery went out of scope without an answer.
    func requeueUnanswered(_ message: Message)
}
