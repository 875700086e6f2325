import UVLoop

/// The first error of a running processor. It can be read at any time, and waited for.
final class FirstFailure: Sendable {
    private let recorded = LockedValue<(any Error)?>(nil)
    private let stream: AsyncStream<any Error>
    private let continuation: AsyncStream<any Error>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    var error: (any Error)? { recorded.withLock { $0 } }

    func record(_ error: any Error) {
        recorded.withLock { $0 = $0 ?? error }
        continuation.yield(error)
    }

    /// Waits for an error; returns `nil` if the task is cancelled.
    func next() async -> (any Error)? {
        for await error in stream { return error }
        return nil
    }
}

extension FirstFailure {
    /// The reason why a running processor has to end.
    enum Event {
        /// A signal has arrived.
        case signal(String)
        /// The processor has failed.
        case failure(any Error)
    }

    /// Waits for a signal or a failure.
    ///
    /// - Parameter ignores: returns `true` for a failure after which the method continues to wait
    ///   for a signal.
    func firstEvent(
        _ signals: StopSignals, ignores: (any Error) -> Bool = { _ in false }
    ) async -> Event {
        await withTaskGroup(of: Event?.self) { group in
            group.addTask { await signals.next().map { .signal($0) } }
            group.addTask { await self.next().map { .failure($0) } }
            defer { group.cancelAll() }
            while let event = await group.next() {
                if case .failure(let error) = event, ignores(error) { continue }
                if let event { return event }
            }
            return .signal("stop")
        }
    }
}
