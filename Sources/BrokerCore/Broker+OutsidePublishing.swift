import NSQWire

/// Publishing from outside the protocol: over HTTP.
extension Broker {
    package func hasTopic(_ name: TopicName) -> Bool { topics[name] != nil }

    /// Publishes one message, whose size the caller has checked.
    package func publish(
        _ body: Bytes, to name: TopicName, deferredBy delay: Duration = .zero, at now: Moment
    ) throws(PublishingRefusal) {
        turn.now = now
        try expectRoom(for: body.count)
        let topic = topic(name)
        if delay == .zero {
            topic.publish(body, turn)
        } else {
            topic.publish(body, deferredUntil: now.monotonic + delay.nanoseconds, turn)
        }
    }

    /// Publishes `count` messages laid out as in an MPUB, each with its size before it. The caller
    /// has checked them.
    package func publish(
        _ count: Int, from batch: Bytes, to name: TopicName, at now: Moment
    ) throws(PublishingRefusal) {
        turn.now = now
        let topic = topic(name)
        guard count > 0 else { return }
        try expectRoom(for: batch.count)
        topic.publish(count, from: batch, turn)
    }

    private func expectRoom(for bytes: Int) throws(PublishingRefusal) {
        guard !isStopping else { throw .exiting }
        guard turn.slabs.usedBytes + bytes <= options.maxMemoryBytes else { throw .memoryIsFull }
    }
}

/// Why a message was not taken.
package enum PublishingRefusal: Error {
    case exiting
    case memoryIsFull
}
