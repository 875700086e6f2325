import UVLoop

/// Limits the number of concurrent operations. Further operations wait, and begin in the order in
/// which they were requested.
final class ConcurrencyLimit: Sendable {
    private struct State {
        var free: Int
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextToWait = 0
        var nextToBegin = 0
    }

    private let state: LockedValue<State>

    init(_ count: Int) { state = LockedValue(State(free: count)) }

    /// Runs an operation as soon as the limit allows it.
    func withPermit<Value: Sendable>(_ operation: @Sendable () async -> Value) async -> Value {
        await begin()
        defer { end() }
        return await operation()
    }

    private func begin() async {
        await withCheckedContinuation { continuation in
            let begins = state.withLock { state in
                guard state.free == 0 else {
                    state.free -= 1
                    return true
                }
                state.waiting[state.nextToWait] = continuation
                state.nextToWait += 1
                return false
            }
            if begins { continuation.resume() }
        }
    }

    /// Passes the permit to the operation that has waited longest, if any waits.
    private func end() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard let next = state.waiting.removeValue(forKey: state.nextToBegin) else {
                state.free += 1
                return nil
            }
            state.nextToBegin += 1
            return next
        }
        next?.resume()
    }
}
