import DequeModule

/// Dispatch of messages from the topic to its channels.
extension Topic {
    /// `true` if the topic does not dispatch messages, because the topic is paused, waits for its
    /// channels or has no channel.
    var holdsMessages: Bool { isPaused || awaitsChannels || channels.isEmpty }

    /// The ordinal after the last message that can be dispatched. A message of a durable topic must
    /// be in the message log first.
    var dispatchableEnd: Int { log?.durableEnd ?? undispatched.publishedEnd }

    /// Dispatches the topic's messages, unless ``holdsMessages`` is `true`.
    func dispatch() {
        guard !holdsMessages else { return }
        let start = undispatched.dispatchedEnd
        dispatch(upTo: dispatchableEnd)
        let deferred = undispatched.removeDeferred(requiresDurable: isDurable)
        dispatch(deferred)
        guard isDurable, start < undispatched.dispatchedEnd || !deferred.isEmpty else { return }
        // If a channel is durable, its own records show which messages were dispatched.
        if !hasDurableChannel { context.log.append(.dispatched(name)) }
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
