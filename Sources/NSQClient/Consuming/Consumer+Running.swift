import Logging
import NSQWire
import UVLoop

extension Consumer {
    /// Requests the next message. Messages are returned in the order of their arrival.
    ///
    /// - Returns: the message; `nil` after ``stop()``.
    /// - Throws: ``NSQError/Code/cancelled`` if the task is cancelled, and nothing else.
    public func next() async throws(NSQError) -> Delivery? {
        guard let message = try await queue.next() else { return nil }
        return Delivery(message, self)
    }

    /// Processes messages with a handler, until the consumer is stopped or the task is cancelled.
    ///
    /// - A message is finished when its handler returns.
    /// - When the handler throws, the message is delivered again after the delay of `retry`, or after
    ///   the delay of a thrown ``Requeue``. After the last attempt, and when the handler throws
    ///   ``GiveUp``, the message is given up: `onGivenUp` runs, and then the message is finished.
    /// - While a handler runs, the consumer restarts the message's timeout, up to nsqd's
    ///   `--max-msg-timeout`.
    /// - Failures slow the consumer down, see ``Options/backoffMultiplier`` and
    ///   ``Options/backoffScope``. A ``Requeue`` is no failure.
    ///
    /// When the task is cancelled, running handlers are cancelled, and messages whose handlers then
    /// throw are requeued without a delay.
    ///
    /// - Parameters:
    ///   - concurrency: the maximum number of handlers that run at the same time, 1 by default.
    ///   - retry: when and how often a failed message is delivered again.
    ///   - onGivenUp: receives a message that is given up, and the reason. If it throws, the message is
    ///     delivered again. By default, the message and the reason are logged as an error.
    ///   - handle: processes a message.
    /// - Throws: ``NSQError/Code/cancelled`` if the task is cancelled, and nothing else.
    public func run(
        concurrency: Int = 1, retry: RetryPolicy = RetryPolicy(),
        onGivenUp: (@Sendable (Message, any Error) async throws -> Void)? = nil,
        _ handle: @escaping @Sendable (Message) async throws -> Void
    ) async throws(NSQError) {
        keepMessagesAlive()
        let handler = MessageHandler(
            consumer: self, retry: retry, handle: handle, giveUp: onGivenUp ?? logGivenUp)
        await withDiscardingTaskGroup { group in
            for _ in 0..<max(1, concurrency) {
                group.addTask {
                    // `next()` throws when the group is cancelled, and the task ends.
                    while let message = try? await self.queue.next() {
                        await handler.process(message)
                    }
                }
            }
        }
        if Task.isCancelled { throw .cancelled(mayHaveBeenAccepted: false) }
    }

    private func logGivenUp(_ message: Message, _ error: any Error) {
        logger.error("message \(message.id) given up after attempt \(message.attempts): \(error)")
    }
}

/// Processes single messages for ``Consumer/run(concurrency:retry:onGivenUp:_:)``.
private struct MessageHandler: Sendable {
    let consumer: Consumer
    let retry: RetryPolicy
    let handle: @Sendable (Message) async throws -> Void
    let giveUp: @Sendable (Message, any Error) async throws -> Void

    /// Calls the handler, and finishes, requeues or gives up the message.
    func process(_ message: Message) async {
        // A message with more attempts than allowed had no answer in its last attempt, for example
        // because the process crashed.
        if retry.maxAttempts > 0, message.attempts > retry.maxAttempts {
            return await abandon(message, TooManyAttempts(attempts: message.attempts - 1))
        }
        do {
            try await consumer.instruments.observe(message) { try await handle(message) }
            consumer.finishProcessed(message)
        } catch let requeue as Requeue {
            consumer.requeue(message, after: requeue.delay)
        } catch  where Task.isCancelled {
            consumer.requeue(message)
        } catch let error as GiveUp {
            recordFailure(message)
            await abandon(message, error)
        } catch {
            recordFailure(message)
            guard !retry.isExhausted(after: message.attempts) else {
                return await abandon(message, error)
            }
            let delay = retry.delay(after: message.attempts)
            consumer.logger.warning(
                "message \(message.id) failed in attempt \(message.attempts), again in \(delay): \(error)"
            )
            consumer.requeue(message, after: delay)
        }
    }

    private func abandon(_ message: Message, _ error: any Error) async {
        do {
            try await giveUp(message, error)
            consumer.instruments.countGivenUp()
            consumer.finish(message)
        } catch {
            consumer.logger.error("giving up message \(message.id) failed: \(error)")
            consumer.requeue(message, after: retry.delay(after: message.attempts))
        }
    }

    private func recordFailure(_ message: Message) {
        let connection = message.place.connection
        consumer.engine.submit { $0?.recordOutcome(isSuccess: false, connection: connection) }
    }
}

extension Consumer {
    /// Finishes a message whose handler has returned.
    fileprivate func finishProcessed(_ message: Message) {
        // One submission to the loop for both calls costs less than two.
        finishOnce(message) { engine in
            engine.recordOutcome(isSuccess: true, connection: message.place.connection)
        }
    }

    /// Finishes a message that the caller answers exactly once.
    ///
    /// With at most one message in flight, nsqd waits for the FIN before it sends the next message. So
    /// this thread writes the FIN itself, and the loop updates its state when the next message wakes
    /// it. That saves one of four thread switches for each message.
    ///
    /// - Parameters:
    ///   - message: the message.
    ///   - completion: runs on the loop when the message is no longer in flight.
    private func finishOnce(
        _ message: Message, _ completion: @escaping @Sendable (ConsumerEngine) -> Void = { _ in }
    ) {
        instruments.countFinished(1)
        let outcome = message.finishDirectly()
        let isWritten = outcome == .written
        engine.submit(wakesLoop: !isWritten) { engine in
            guard let engine else { return }
            if outcome == .refused {
                engine.finish(message)
            } else {
                engine.didFinishDirectly(message, isPartlyWritten: !isWritten)
            }
            completion(engine)
        }
    }
}

extension Message {
    /// Writes FIN to the connection of the message on this thread.
    fileprivate func finishDirectly() -> DirectWriter.Outcome {
        guard let writer = buffer.directWriter else { return .refused }
        return FinishLine.withBytes(of: wireID) { writer.write($0) }
    }
}

extension Consumer: DeliveryAnswers {
    func finishDelivery(_ message: Message) { finishOnce(message) }

    /// Restarts the timeout of a message (`TOUCH`), up to nsqd's `--max-msg-timeout` in total.
    public func touch(_ message: Message) {
        engine.submit { $0?.touch(message) }
    }

    func requeueUnanswered(_ message: Message) {
        logger.warning("message \(message.id) was neither finished nor requeued; requeuing it")
        requeue(message)
    }
}
