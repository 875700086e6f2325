import NSQWire
import TallyBasics

/// Publishes whose responses wait for a flush or a sync of the message log.
final class PendingPublishes {
    private let context: BrokerContext
    /// The sessions with pending publish responses.
    private var sessions: [Session] = []
    /// The sessions with publishes since the last flush.
    private var unflushedSessions: [Session] = []
    /// The completion handlers that wait until the records are as durable as an acknowledged publish.
    private var waiters = FlushWaiters()
    /// The completion handlers that wait until the records are synced.
    private var syncWaiters = FlushWaiters()
    /// The number of the last synced flush.
    private var lastSynced: UInt64 = 0

    /// `true` if a completion handler waits for the sync of the next flush.
    var needsSync: Bool { syncWaiters.hasUnflushed }

    init(_ context: BrokerContext) { self.context = context }

    /// Adds a publish whose response is sent after the next flush.
    func add(_ verb: Verb, by session: Session) {
        if !session.hasPendingResponses { sessions.append(session) }
        if !session.hasUnflushedPublishes { unflushedSessions.append(session) }
        session.sendAfterFlush(verb)
    }

    /// Adds a completion handler that is called after the next flush.
    ///
    /// - Parameter isSynced: `true` if it is called after the sync of this flush.
    func add(isSynced: Bool, _ completion: @escaping (MessageLogError?) -> Void) {
        if isSynced { syncWaiters.add(completion) } else { waiters.add(completion) }
    }

    /// Assigns a number to the publishes and completion handlers of a successful flush.
    ///
    /// - Parameter number: the number of the flush.
    /// - Returns: `true` if the flush is already synced, because the flush had nothing to write.
    func didFlush(_ number: UInt64) -> Bool {
        for session in unflushedSessions { session.didFlush(number) }
        unflushedSessions.removeAll(keepingCapacity: true)
        waiters.didFlush(number)
        syncWaiters.didFlush(number)
        return number <= lastSynced
    }

    /// Sends the responses to all publishes up to a flush, and calls the completion handlers.
    ///
    /// - Parameters:
    ///   - number: the number of the last completed flush.
    ///   - isSynced: `true` after a sync, or if it has failed.
    ///   - failure: the error of the flushes; `nil` if they succeeded.
    func complete(upTo number: UInt64, isSynced: Bool, _ failure: MessageLogError?) {
        if isSynced, failure == nil { lastSynced = max(lastSynced, number) }
        complete(sessions) { $0.sendResponses(upTo: number, failure) }
        for completion in waiters.remove(upTo: number) { completion(failure) }
        guard isSynced else { return }
        for completion in syncWaiters.remove(upTo: number) { completion(failure) }
    }

    /// Refuses the publishes of a failed flush, and calls their completion handlers with the error.
    func refuse(_ failure: MessageLogError) {
        complete(unflushedSessions) { $0.refuseFailedPublishes(failure) }
        unflushedSessions.removeAll(keepingCapacity: true)
        for completion in waiters.removeUnflushed() { completion(failure) }
        for completion in syncWaiters.removeUnflushed() { completion(failure) }
    }

    private func complete(_ sessions: [Session], _ sendResponses: (Session) -> ProtocolError?) {
        for session in sessions {
            let byteCount = session.outbox.byteCount
            if let error = sendResponses(session) {
                context.events.append(.clientFailed(session.id, error))
            }
            // The timeout of two heartbeat intervals begins again, because the client received no
            // heartbeat while its response was pending.
            if !session.hasPendingResponses { session.didReceiveData(at: context.now.monotonic) }
            // A session without new output is not added. The server repeats `endIteration(at:)` until
            // the result contains no session, and would have nothing to send to this session.
            if session.outbox.byteCount > byteCount { context.pending.add(session) }
        }
        self.sessions.removeAll { !$0.hasPendingResponses }
    }
}
