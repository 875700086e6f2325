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
