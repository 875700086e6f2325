import DequeModule

/// Dispatch of messages from the topic to its channels.
extension Topic {
    /// `true` if the topic does not dispatch messages, because the topic is paused, waits for its
    /// channels or has no channel.
    var holdsMessages: Bool { isPaused || awaitsChannels || channels.isEmpty }

    /// The ordinal after the last message that can be dispatched. A message of a durable topic must
    /// be in the message log first.
    var dispatchableEnd: Int { log?.durableEnd ?? undispatched.publishedEnd }

    /// Assigns the messages that can be dispatched to the present channels, unless ``holdsMessages``
    /// is `true`. Deferred messages are only marked as assigned, and are dispatched later, within the
    /// budgets of the next iterations. The other messages are dispatched at once, which takes one
    /// step for each channel.
    func assignDispatchable() {
        finishFirstDeferred()
        guard !holdsMessages else { return }
        let start = undispatched.dispatchedEnd
        dispatch(upTo: dispatchableEnd)
        let hasDeferred = undispatched.dispatchableDeferredCount(requiresDurable: isDurable) > 0
        if hasDeferred {
            if let tail = segments.deferredTail {
                segments.closeTail(tail)
                seal(tail)
            }
            undispatched.assignDeferred()
            context.pending.add(self)
        }
        recordDispatch(start < undispatched.dispatchedEnd || hasDeferred)
    }

    /// Dispatches the topic's messages at once, unless ``holdsMessages`` is `true`. Only recovery
    /// calls this method, because its work is not bounded: deferred messages take one step for each
    /// message and channel.
    func dispatch() {
        guard !holdsMessages else { return }
        let start = undispatched.dispatchedEnd
        dispatch(upTo: dispatchableEnd)
        let deferred = undispatched.removeDeferred(requiresDurable: isDurable)
        dispatch(deferred)
        recordDispatch(start < undispatched.dispatchedEnd || !deferred.isEmpty)
    }

    /// The number of steps between two checks of the budget.
    private static let stepsPerBudgetCheck = 1024

    /// Records that the channels have received all dispatchable messages.
    ///
    /// - Parameter isNeeded: `true` if messages were dispatched.
    private func recordDispatch(_ isNeeded: Bool) {
        // If a channel is durable, its own records show which messages were dispatched.
        guard isNeeded, isDurable, !hasDurableChannel else { return }
        context.log.append(.dispatched(name))
    }

    /// Dispatches the topic's messages within the iteration's budget. While ``holdsMessages`` is
    /// `true`, only assigned messages are dispatched. If the budget postpones deferred messages, the
    /// topic is added to the pending work again. Other messages are never postponed, because they
    /// take only one step for each channel, whatever their number.
    func dispatchWithinBudget() {
        guard !holdsMessages else {
            _ = dispatchDeferred(first: undispatched.assignedCount)
            return
        }
        let start = undispatched.dispatchedEnd
        dispatch(upTo: dispatchableEnd)
        if start < undispatched.dispatchedEnd { context.budget.dispatches.charge(channels.count) }
        let count = undispatched.dispatchableDeferredCount(requiresDurable: isDurable)
        guard dispatchDeferred(first: count) else { return }
        recordDispatch(start < undispatched.dispatchedEnd || count > 0)
    }

    /// Dispatches the first `count` deferred messages within the iteration's budget.
    ///
    /// - Returns: `false` if the budget postpones some of the messages, or the dispatch of a message
    ///   to some of its channels. The topic is then added to the pending work again.
    private func dispatchDeferred(first count: Int) -> Bool {
        let messageSteps = 1 + channels.count * WorkCost.deferredCopy
        var left = count
        while left > 0 {
            let steps = min(Self.stepsPerBudgetCheck, context.budget.dispatches.remaining)
            if steps < messageSteps || undispatched.firstCopies > 0 {
                if copyFirstDeferred(toNext: max(1, steps / WorkCost.deferredCopy)) { left -= 1 }
            } else {
                let batch = min(left, steps / messageSteps)
                dispatch(undispatched.removeDeferred(first: batch))
                context.budget.dispatches.charge(batch * messageSteps)
                left -= batch
            }
            guard left == 0 || context.budget.dispatches.hasSteps else {
                context.pending.add(self)
                return false
            }
        }
        return true
    }

    /// Dispatches the first deferred message to the next channels.
    ///
    /// - Parameter count: the maximum number of channels.
    /// - Returns: `true` if no channel is left, and the message is dispatched.
    private func copyFirstDeferred(toNext count: Int) -> Bool {
        let message = undispatched.deferred[0]
        let next = channels[undispatched.firstCopies...].prefix(count)
        copy(message, to: next)
        context.budget.dispatches.charge(1 + next.count * WorkCost.deferredCopy)
        undispatched.addFirstCopies(next.count)
        guard undispatched.firstCopies == channels.count else { return false }
        _ = undispatched.removeDeferred(first: 1)
        removeIfUnneeded(message.segment)
        return true
    }

    /// Completes the dispatch of the first deferred message, if only some of the channels have
    /// received it. A method that changes the channels, or that depends on the channels of an
    /// undispatched message, calls this method first.
    func finishFirstDeferred() {
        if undispatched.firstCopies > 0 { _ = copyFirstDeferred(toNext: channels.count) }
    }

    /// Dispatches the messages below the ordinal `end`.
    func dispatch(upTo end: Int) {
        guard let ordinals = undispatched.dispatch(upTo: end) else { return }
        for channel in channels {
            guard undispatched.lostCount > 0 else {
                channel.accept(ordinals)
                continue
            }
            for range in channel.untouched(in: [ordinals]) { channel.accept(range) }
        }
        undispatched.resetLostCount()
    }

    /// Dispatches deferred messages. The caller has removed the messages from ``undispatched``.
    func dispatch(_ messages: [UndispatchedMessages.DeferredMessage]) {
        for message in messages {
            copy(message, to: channels[...])
            removeIfUnneeded(message.segment)
        }
    }

    /// Copies a deferred message to those channels that receive it.
    private func copy(
        _ message: UndispatchedMessages.DeferredMessage, to channels: ArraySlice<Channel>
    ) {
        for channel in channels {
            guard message.channels?.contains(channel.name) != false else {
                channel.skip(message.index, of: message.segment)
                continue
            }
            channel.accept(message.segment, message.index, deferredUntil: message.deadline)
        }
    }
}
