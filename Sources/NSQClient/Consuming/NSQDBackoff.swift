import UVLoop

/// The backoff of one nsqd, with its timer. It continues when the nsqd's connection is replaced.
final class NSQDBackoff {
    private var backoff: FailureBackoff
    private let timer: Timer
    private let onChange: () -> Void

    /// Creates a backoff without failures.
    ///
    /// - Parameters:
    ///   - loop: the loop of the timer.
    ///   - options: the options of the consumer.
    ///   - onChange: runs after each change of ``limit``.
    init(on loop: Loop, options: Consumer.Options, _ onChange: @escaping () -> Void) {
        backoff = FailureBackoff(options)
        timer = Timer(on: loop)
        self.onChange = onChange
    }

    /// The maximum number of messages in flight; `nil` while processing works.
    var limit: Int? { backoff.limit }

    /// Records that a message of the nsqd was processed or failed.
    ///
    /// - Returns: the wait that begins now; `nil` if none begins.
    func record(isSuccess: Bool) -> Duration? {
        let before = limit
        let wait = backoff.record(isSuccess: isSuccess)
        if let wait {
            timer.start(after: wait) { [weak self] in
                self?.backoff.endWait()
                self?.onChange()
            }
        }
        if limit != before { onChange() }
        return wait
    }

    /// Ends the wait without a test message.
    func close() { timer.close() }
}
