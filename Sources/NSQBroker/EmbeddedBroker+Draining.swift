import BrokerCore
import UVLoop

extension EmbeddedBroker {
    /// Waits until no topic and no channel has a message: none that waits, none in flight, and none
    /// deferred. Messages that are published in the meantime prolong the wait.
    ///
    /// - Parameter timeout: the maximum time of the wait.
    /// - Returns: `true` if the broker is empty; `false` after the timeout, and when the task is
    ///   cancelled.
    public func waitUntilEmpty(within timeout: Duration) async -> Bool {
        let end = ContinuousClock.now + timeout
        var pause = Self.shortestPause
        while await statistics().unfinishedCount > 0 {
            let rest = ContinuousClock.now.duration(to: end)
            guard rest > .zero else { return false }
            do {
                try await Task.sleep(for: min(pause, rest))
            } catch {
                return false
            }
            pause = min(pause * 2, Self.longestPause)
        }
        return true
    }

    /// Stops the broker after its consumers have finished all messages.
    ///
    /// From the beginning, the broker refuses publishes (`E_PUB_FAILED`, `E_MPUB_FAILED`,
    /// `E_DPUB_FAILED`), leaves the nsqlookupds, and `/healthz` of the HTTP API responds with status
    /// 503, so that producers, new consumers and load balancers select another broker. The broker
    /// continues to deliver messages, also to consumers that connect now. When no message is left,
    /// after the timeout, or
    /// when the task is cancelled, it stops as by ``stop()``.
    ///
    /// - Parameter timeout: the maximum time for which the broker waits.
    /// - Returns: the number of messages that were not finished. They are lost unless there is a
    ///   ``Configuration/dataPath``.
    @discardableResult
    public func stop(drainingWithin timeout: Duration) async -> Int {
        await beginDrain()
        _ = await waitUntilEmpty(within: timeout)
        let rest = await statistics().unfinishedCount
        await stop()
        return rest
    }

    /// Begins a drain as `POST /drain` of the HTTP API does.
    package func beginDrain() async { _ = await host.perform { $0.drain.begin() } }

    /// Calls a closure once, on the broker's thread, when a drain has left no message.
    package func onDrained(_ body: @escaping @Sendable () -> Void) {
        host.submit { $0?.drain.onDrained = body }
    }

    private static let shortestPause = Duration.milliseconds(1)
    private static let longestPause = Duration.milliseconds(50)
}

extension EmbeddedBroker.Statistics {
    /// The number of messages that consumers have not finished, over all topics and channels. A
    /// message counts once for each channel.
    public var unfinishedCount: Int {
        topics.reduce(0) { sum, topic in
            topic.channels.reduce(sum + topic.depth) {
                $0 + $1.depth + $1.inFlightCount + $1.deferredCount
            }
        }
    }
}
