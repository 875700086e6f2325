/// Subscription of consumers, and the requeue of their messages when they disconnect.
extension Channel {
    /// Subscribes a consumer to the channel.
    func addConsumer(_ session: Session) {
        session.subscribe(to: self, slot: consumers.add(session))
    }

    /// Removes a consumer. The messages in flight to the consumer are requeued at once, in the order
    /// of their deadlines. nsqd requeues such messages only after their timeout, which delays the
    /// redelivery.
    func removeConsumer(_ session: Session) {
        let slot = session.subscription.slot
        consumers.remove(slot: slot)
        session.unsubscribe()
        guard session.subscription.inFlightCount > 0, !isDeleted else { return }
        while deliveries.requeueOne(of: slot, behind: cursor.acceptedCount) {
            session.didRequeueUnanswered()
        }
        context.pending.add(self)
    }
}
