import BrokerCore
import TallyBasics
import UVLoop

/// Connects the broker core to a loop: it runs the core's timer, and its work at the end of each
/// loop iteration.
///
/// The core processes commands as they arrive. At the end of the loop iteration, before the loop
/// blocks, the core delivers messages, and the driver writes to each connection once. A single
/// message is therefore sent at once. nsqd can delay it by up to 250 ms to fill its output buffer.
final class BrokerDriver {
    private let broker: Broker
    private let loop: Loop
    private let timer: Timer
    private var timerDeadline = Int64.max
    private let flush: ([Session]) -> Void
    private let handleEvent: (BrokerEvent) -> Void

    /// Creates a driver, which the loop calls at the end of each iteration from now on.
    ///
    /// - Parameters:
    ///   - flush: writes the outboxes of sessions.
    ///   - handleEvent: handles an event of the core; it may call the core.
    init(
        _ broker: Broker, on loop: Loop, flush: @escaping ([Session]) -> Void,
        handleEvent: @escaping (BrokerEvent) -> Void
    ) {
        self.broker = broker
        self.loop = loop
        self.flush = flush
        self.handleEvent = handleEvent
        timer = Timer(on: loop)
        loop.onIterationEnd = { [weak self] in self?.endIteration() }
    }

    private func endIteration() {
        repeat {
            // If the socket of a client accepts all bytes, the client can receive more in this
            // iteration.
            while case let sessions = broker.endIteration(at: loop.timestamp), !sessions.isEmpty {
                flush(sessions)
            }
        } while handleEvents()
        // The end of the next iteration continues the work, so the loop must not block before it.
        if broker.hasPostponedWork { loop.runInNextIteration {} }
        scheduleTimer()
    }

    /// Handles the events of the core.
    ///
    /// - Returns: `true` if there were events. Their handlers may have called the core, so the
    ///   iteration must be ended again.
    private func handleEvents() -> Bool {
        let events = broker.drainEvents()
        for event in events { handleEvent(event) }
        return !events.isEmpty
    }

    private func scheduleTimer() {
        guard let deadline = broker.nextDeadline, deadline < timerDeadline else { return }
        timerDeadline = deadline
        timer.start(after: .nanoseconds(max(0, deadline - loop.nowNanoseconds))) {
            [weak self] in self?.timerFired()
        }
    }

    private func timerFired() {
        timerDeadline = .max
        broker.tick(at: loop.timestamp)
    }

    /// Stops the timer. Iterations still end, so that the remaining bytes are sent.
    func stopTimer() { timer.close() }

    /// Handles the last events of the core, after the last connection has closed.
    func finish() {
        endIteration()
        loop.onIterationEnd = nil
    }
}
