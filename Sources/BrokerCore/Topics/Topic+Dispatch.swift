import DequeModule

/// Dispatch of messages from the topic to its channels.
extension Topic {
    /// `true` if the topic does not dispatch messages, because the topic is paused, waits for its
    /// channels or has no channel.
    var holdsMessages: Bool { isPaused || awaitsChannels || channels.isEmpty }

    /// The ordinal after the last message that can be dispatched. A message of a durable topic must
    /// be in the message log first.
    var dispatchableEnd: Int { log?.durableEnd ?? undispatched.publishedEnd }

    /// Assigns the messages that can be dispatched to the present channels, unless ``holdsMessages`` is
    /// `true`. Deferred messages are only marked: they are dispatched later, within the iterations'
    /// budgets. The others are dispatched, which takes one step for each channel.
    func assignDispatchable() {
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

    /// Dispatches the topic's messages at once, unless ``holdsMessages`` is `true`. Only the recovery
    /// calls it, because deferred messages take one step for each message and channel.
    func dispatch() {
        guard !holdsMessages else { return }
        let start = undispatched.dispatchedEnd
        dispatch(upTo: dispatchableEnd)
        let deferred = undispatched.removeDeferred(requiresDurable: isDurable)
        dispatch(deferred)
        recordDispatch(start < undispatched.dispatchedEnd || !deferred.isEmpty)
    }

    /// The number of steps between two checks of the budget.
    private static let deferredBatch = 1024

    /// Records that the channels have received all dispatchable messages.
    ///
    /// - Parameter isNeeded: `true` if messages were dispatched.
    private func recordDispatch(_ isNeeded: Bool) {
        // If a channel is durable, its own records show which messages were dispatched.
        guard isNeeded, isDurable, !hasDurableChannel else { return }
        context.log.append(.dispatched(name))
    }

    /// Dispatches the topic's messages within the iteration's budget; while ``holdsMessages`` is `true`,
    /// only the assigned ones. The topic is added to the pending work again if the budget postpones
    /// deferred messages; the others take one step for each channel, regardless of their number.
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
    /// - Returns: `false` if the budget postpones some of them; the topic is then added to the pending
    ///   work again.
    private func dispatchDeferred(first count: Int) -> Bool {
        let messageSteps = 1 + channels.count * WorkCost.deferredCopy
        var left = count
        while left > 0 {
            let steps = min(Self.deferredBatch, context.budget.dispatches.remaining)
            let batch = min(left, max(1, steps / messageSteps))
            dispatch(undispatched.removeDeferred(first: batch))
            context.budget.dispatches.charge(batch * messageSteps)
            left -= batch
            guard left == 0 || context.budget.dispatches.hasSteps else {
                context.pending.add(self)
                return false
            }
        }
        return true
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
            for channel in channels {
                channel.accept(message.segment, message.index, deferredUntil: message.deadline)
            }
            removeIfUnneeded(message.segment)
        }
    }
}
