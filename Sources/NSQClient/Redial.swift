import UVLoop

/// Calls again after a pause that grows with every failure.
final class Redial {
    private let timer: Timer
    private var backoff: Backoff

    init(on loop: Loop, options: ClientOptions) {
        timer = Timer(on: loop)
        backoff = Backoff(shortest: options.shortestPause, longest: options.longestPause)
    }

    /// - Returns: how long the pause is.
    @discardableResult
    func afterPause(_ dial: @escaping () -> Void) -> Duration {
        let pause = Duration.milliseconds(
            backoff.delayAfterFailure(chance: .random(in: 0...1)).wholeMilliseconds)
        timer.start(after: pause, dial)
        return pause
    }

    func succeeded() {
        backoff.reset()
    }

    func close() {
        timer.close()
    }
}
