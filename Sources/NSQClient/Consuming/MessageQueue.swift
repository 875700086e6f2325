import DequeModule
import UVLoop

/// The received messages that no task has taken yet, between the loop's thread and the tasks.
///
/// The queue is bounded because nsqd sends no more messages than the consumer's max-in-flight. When
/// nsqd has requeued messages, because they timed out or their connection ended, they leave the queue:
/// nsqd delivers them again.
final class MessageQueue: Sendable {
    private typealias Request<Element> = CheckedContinuation<Result<Element?, NSQError>, Never>

    private enum Waiter {
        case message(Request<Message>)
        case batch(Request<MessageBatch>)

        func cancel() {
            let error = NSQError.cancelled(mayHaveBeenAccepted: false)
            switch self {
            case .message(let request): request.resume(returning: .failure(error))
            case .batch(let request): request.resume(returning: .failure(error))
            }
        }

        func finish() {
            switch self {
            case .message(let request): request.resume(returning: .success(nil))
            case .batch(let request): request.resume(returning: .success(nil))
            }
        }
    }

    private struct State {
        var batches: Deque<MessageBatch> = []
        /// The index of the next message in the first batch.
        var nextIndex = 0
        /// The waiting tasks in the order of their requests.
        var waiters: Deque<(number: Int, waiter: Waiter)> = []
        var lastNumber = 0
        var hasDemand = false
        var isFinished = false

        mutating func popMessage() -> Message? {
            guard let batch = batches.first else { return nil }
            let message = batch[nextIndex]
            nextIndex += 1
            if nextIndex == batch.count {
                batches.removeFirst()
                nextIndex = 0
            }
            return message
        }

        /// Removes and returns the first batch of which no message was taken.
        mutating func popBatch() -> MessageBatch? {
            guard nextIndex > 0 else { return batches.popFirst() }
            return batches.count > 1 ? batches.remove(at: 1) : nil
        }

        /// Removes the batches for which `isLost` returns `true`.
        mutating func removeBatches(where isLost: (MessageBatch) -> Bool) {
            if let first = batches.first, isLost(first) { nextIndex = 0 }
            batches.removeAll(where: isLost)
        }

        mutating func removeAll() -> [Message] {
            var messages: [Message] = []
            while let message = popMessage() { messages.append(message) }
            return messages
        }
    }

    private let state = LockedValue(State())
    private let onDemandChange: @Sendable ([Message]) -> Void

    /// Creates an empty queue without demand.
    ///
    /// - Parameter onDemandChange: runs after each change of ``hasDemand``, except the change by
    ///   ``finish()``. It receives the messages that no task has taken. If several threads change the
    ///   demand at the same time, the calls can run in another order than the changes, so the closure
    ///   must read ``hasDemand``.
    init(_ onDemandChange: @escaping @Sendable ([Message]) -> Void) {
        self.onDemandChange = onDemandChange
    }

    /// Becomes `true` when a task requests a message, and `false` after ``endDemand()``, ``finish()`` and
    /// the cancellation of the last requesting task. It stays `true` between two requests.
    var hasDemand: Bool { state.withLock { $0.hasDemand } }

    /// Adds messages.
    ///
    /// - Returns: `false` if no task requests messages. The queue then does not contain the batch, and
    ///   the caller must requeue it.
    func append(_ batch: MessageBatch) -> Bool {
        var served: [() -> Void] = []
        let isAccepted = state.withLock { state in
            guard state.hasDemand, !state.isFinished else { return false }
            state.batches.append(batch)
            while let first = state.waiters.first?.waiter, let serve = Self.serve(first, &state) {
                state.waiters.removeFirst()
                served.append(serve)
            }
            return true
        }
        for serve in served { serve() }
        return isAccepted
    }

    /// Removes the messages of a connection that nsqd has requeued.
    ///
    /// - Parameters:
    ///   - connection: the serial number of the connection.
    ///   - serial: the serial number of the oldest batch that is still in flight; `nil` if the
    ///     connection has ended.
    func removeLost(of connection: Int, before serial: Int?) {
        state.withLock { state in
            state.removeBatches {
                $0.connection == connection && $0.serial < serial ?? .max
            }
        }
    }

    private static func serve(_ waiter: Waiter, _ state: inout State) -> (() -> Void)? {
        switch waiter {
        case .message(let request):
            state.popMessage().map { message in { request.resume(returning: .success(message)) } }
        case .batch(let request):
            state.popBatch().map { batch in { request.resume(returning: .success(batch)) } }
        }
    }

    /// Returns the next message; `nil` after ``finish()``.
    ///
    /// - Throws: ``NSQError/Code/cancelled`` if the task is cancelled.
    func next() async throws(NSQError) -> Message? {
        try await request({ $0.popMessage() }, Waiter.message)
    }

    /// Returns the next batch of which no message was taken; `nil` after ``finish()``.
    ///
    /// - Throws: ``NSQError/Code/cancelled`` if the task is cancelled.
    func nextBatch() async throws(NSQError) -> MessageBatch? {
        try await request({ $0.popBatch() }, Waiter.batch)
    }

    /// Ends the demand for messages, unless a task waits for one.
    func endDemand() {
        let rest: [Message]? = state.withLock { state in
            guard state.hasDemand, state.waiters.isEmpty else { return nil }
            state.hasDemand = false
            return state.removeAll()
        }
        if let rest { onDemandChange(rest) }
    }

    /// Ends all requests.
    ///
    /// - Returns: the messages that no task has taken.
    func finish() -> [Message] {
        let (waiters, rest) = state.withLock { state in
            state.isFinished = true
            state.hasDemand = false
            defer { state.waiters = [] }
            return (state.waiters.map(\.waiter), state.removeAll())
        }
        for waiter in waiters { waiter.finish() }
        return rest
    }

    private func request<Element: Sendable>(
        _ pop: @escaping @Sendable (inout State) -> Element?,
        _ waiter: @escaping @Sendable (Request<Element>) -> Waiter
    ) async throws(NSQError) -> Element? {
        guard !Task.isCancelled else {
            endDemand()
            throw .cancelled(mayHaveBeenAccepted: false)
        }
        let number = state.withLock { state in
            state.lastNumber += 1
            return state.lastNumber
        }
        let result: Result<Element?, NSQError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                enqueue(continuation, number, pop, waiter)
                // The handler below may have run before the waiter was stored.
                if Task.isCancelled { cancel(number) }
            }
        } onCancel: {
            cancel(number)
        }
        return try result.get()
    }

    private func enqueue<Element: Sendable>(
        _ request: Request<Element>, _ number: Int,
        _ pop: @Sendable (inout State) -> Element?,
        _ waiter: @Sendable (Request<Element>) -> Waiter
    ) {
        var isFirst = false
        let (element, isWaiting): (Element?, Bool) = state.withLock { state in
            guard !state.isFinished else { return (nil, false) }
            isFirst = !state.hasDemand
            state.hasDemand = true
            // Earlier requests are served first.
            if state.waiters.isEmpty, let element = pop(&state) { return (element, false) }
            state.waiters.append((number, waiter(request)))
            return (nil, true)
        }
        if !isWaiting { request.resume(returning: .success(element)) }
        if isFirst { onDemandChange([]) }
    }

    private func cancel(_ number: Int) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiters.firstIndex(where: { $0.number == number }) else {
                return nil
            }
            return state.waiters.remove(at: index).waiter
        }
        guard let waiter else { return }
        waiter.cancel()
        endDemand()
    }
}
