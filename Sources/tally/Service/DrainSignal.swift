import Glibc
import NSQBroker
import UVLoop

/// Begins a drain of the broker at SIGUSR2. Go's nsqd ignores this signal.
///
/// If the signal arrives before the broker runs, the drain begins as soon as the broker runs.
final class DrainSignal: Sendable {
    private struct State {
        /// The running broker; `nil` before its start, and after its shutdown has begun.
        var broker: EmbeddedBroker?
        var isRequested = false
    }

    private let state = LockedValue(State())
    private let signals = LockedValue<RepeatedSignals?>(nil)

    /// Starts to handle the signal. When this method returns, no signal is lost any more.
    ///
    /// - Throws: `UVError` if the process has no file descriptors or threads left.
    static func watch() async throws -> DrainSignal {
        let drain = DrainSignal()
        let signals = try await RepeatedSignals.watch(SIGUSR2) { drain.request() }
        drain.signals.withLock { $0 = signals }
        return drain
    }

    /// Sets the broker that the signal drains. If the signal has already arrived, the drain begins.
    func start(_ broker: EmbeddedBroker) {
        let isRequested = state.withLock {
            $0.broker = broker
            return $0.isRequested
        }
        if isRequested { request() }
    }

    /// Stops handling the signal.
    func stop() async {
        state.withLock { $0.broker = nil }
        await signals.withLock { $0 }?.stop()
    }

    private func request() {
        let broker = state.withLock {
            $0.isRequested = true
            return $0.broker
        }
        Task { await broker?.beginDrain() }
    }
}
