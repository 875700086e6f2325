import UVLoop

/// The outcome of a consumer's first connection attempts. It is success when one nsqd is connected. It
/// is an error when every known nsqd has failed once and no nsqlookupd may report another: there is no
/// nsqlookupd, or a request to one has failed.
package final class FirstConnection: Sendable {
    private struct State {
        /// The nsqds at which no attempt has ended yet.
        var untried: Set<SocketAddress>
        /// The nsqds at which an attempt has failed. Further failures of the same nsqd do not count.
        var failed: Set<SocketAddress> = []
        /// `true` while an nsqlookupd may still respond with nsqds.
        var isDiscovering: Bool
        var lastError: NSQError?
        var outcome: NSQError??
        var lastWaiter = 0
        var waiters: [Int: CheckedContinuation<NSQError?, Never>] = [:]
    }

    private let state: LockedValue<State>

    /// Creates a pending outcome.
    ///
    /// - Parameters:
    ///   - nsqds: the configured nsqds.
    ///   - isDiscovering: whether nsqlookupds can report further nsqds.
    package init(to nsqds: [SocketAddress], isDiscovering: Bool = false) {
        state = LockedValue(State(untried: Set(nsqds), isDiscovering: isDiscovering))
    }

    /// Records the outcome of a connection attempt at `nsqd`.
    ///
    /// - Parameters:
    ///   - error: the error of the attempt; nil if the connection is established.
    ///   - nsqd: the address of the nsqd.
    package func record(_ error: NSQError?, from nsqd: SocketAddress) {
        guard let error else { return settle(nil) }
        let isLast = state.withLock { state in
            state.untried.remove(nsqd)
            state.failed.insert(nsqd)
            state.lastError = error
            return state.untried.isEmpty && !state.isDiscovering
        }
        if isLast { settle(error) }
    }

    /// Records the result of a poll of all nsqlookupds.
    ///
    /// - Parameters:
    ///   - nsqds: the nsqds that the nsqlookupds report.
    ///   - failures: a description of each failed request.
    package func recordPoll(_ nsqds: Set<SocketAddress>, failures: [String]) {
        let error: NSQError? = state.withLock { state in
            state.untried.formUnion(nsqds.subtracting(state.failed))
            state.isDiscovering = failures.isEmpty
            guard state.untried.isEmpty, !failures.isEmpty else { return nil }
            return state.lastError ?? .lookupFailed(failures.joined(separator: "; "))
        }
        if let error { settle(error) }
    }

    /// Ends every wait, because the consumer has stopped.
    package func cancel() {
        settle(nil)
    }

    /// Returns when a connection is established or the consumer has stopped.
    ///
    /// - Throws: the error of the last attempt, when no further nsqd can be tried;
    ///   ``NSQError/Code/cancelled`` if the task is cancelled.
    package func wait() async throws(NSQError) {
        let number = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        let error: NSQError? = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let outcome: NSQError?? = state.withLock { state in
                    if state.outcome == nil { state.waiters[number] = continuation }
                    return state.outcome
                }
                if let outcome { return continuation.resume(returning: outcome) }
                // The handler below may have run before the waiter was stored.
                if Task.isCancelled { cancelWaiter(number) }
            }
        } onCancel: {
            cancelWaiter(number)
        }
        if let error { throw error }
    }

    private func cancelWaiter(_ number: Int) {
        let waiter = state.withLock { $0.waiters.removeValue(forKey: number) }
        waiter?.resume(returning: .cancelled(mayHaveBeenAccepted: false))
    }

    private func settle(_ error: NSQError?) {
        let waiters = state.withLock { state in
            guard state.outcome == nil else { return [] as [CheckedContinuation<NSQError?, Never>] }
            state.outcome = .some(error)
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: error) }
    }
}
