import TallyBasics
import UVLoop

/// Schedules connection attempts with a delay that grows after every failure.
final class ReconnectSchedule {
    private let timer: Timer
    private var backoff: Backoff

    init(on loop: Loop, options: ClientOptions) {
        timer = Timer(on: loop)
        backoff = Backoff(
            from: options.minReconnectDelay, upTo: options.maxReconnectDelay,
            jitterSeed: .random(in: .min ... .max))
    }

    /// Calls `connect` after the next backoff delay.
    ///
    /// - Returns: the delay.
    @discardableResult
    func scheduleAttempt(_ connect: @escaping () -> Void) -> Duration {
        let delay = Duration.milliseconds(backoff.nextDelay().millisecondsRoundedUp)
        timer.start(after: delay, connect)
        return delay
    }

    /// Resets the delay to its minimum, after a connection was established.
    func reset() {
        backoff.reset()
    }

    /// Cancels the scheduled attempt. No further attempt can be scheduled.
    func close() {
        timer.close()
    }
}
