import UVLoop

/// What became of the first attempt to connect: the first good news, or, when every nsqd has failed
/// once, the last bad news.
package final class FirstConnection: Sendable {
    private struct State {
        /// Who has neither failed nor been reached. One that fails again meanwhile is one failure.
        var untried: Set<SocketAddress>
        var outcome: NSQError??
        var waiting: [CheckedContinuation<NSQError?, Never>] = []
    }

    private let state: Guarded<State>

    package init(of nsqds: [SocketAddress]) {
        state = Guarded(State(untried: Set(nsqds)))
    }

    package func heard(_ error: NSQError?, from nsqd: SocketAddress) {
        guard let error else { return settle(nil) }
        let isLast = state.withLock { state in
            state.untried.remove(nsqd)
            return state.untried.isEmpty
        }
        if isLast { settle(error) }
    }

    /// Nothing is to be heard any more.
    func stopped() {
        settle(nil)
    }

    package func outcome() async throws(NSQError) {
        let error: NSQError? = await withCheckedContinuation { continuation in
            let known: NSQError?? = state.withLock { state in
                if state.outcome == nil { state.waiting.append(continuation) }
                return state.outcome
            }
            if let known { continuation.resume(returning: known) }
        }
        if let error { throw error }
    }

    private func settle(_ error: NSQError?) {
        let waiting = state.withLock { state in
            guard state.outcome == nil else { return [] as [CheckedContinuation<NSQError?, Never>] }
            state.outcome = .some(error)
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume(returning: error) }
    }
}
