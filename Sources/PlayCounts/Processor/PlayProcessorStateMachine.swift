import TallyBasics

/// Decides when the processor commits, publishes, finishes and ends. It does no I/O.
///
/// ``PlayProcessor`` drives this type: it reports events, and then performs the actions that
/// ``nextAction(at:areClientsIdle:)`` returns until it returns `nil`. It does so again at
/// ``nextDeadline``.
///
/// After each commit, its counts are published, and then its messages are finished. So after a
/// crash at any point, NSQ redelivers the messages, or the store has the counts, or both.
///
/// `ReceivedBatch` is a group of received messages that are finished together.
struct PlayProcessorStateMachine<ReceivedBatch> {
    typealias Commits = CommitStateMachine<ReceivedBatch>

    /// An instruction to the driver, ``PlayProcessor``.
    enum Action {
        /// Commits a batch, or publishes or finishes a committed batch.
        case batch(Commits.Action)
        /// Closes the connections to nsqd without waiting for its responses.
        case abandonConsumer
        /// Publishes every pending count without waiting for its deadline.
        case flushClients
        /// Stops making calls to clients.
        case stopPublishing
        /// Closes everything and reports the end of the processor. It is the last action.
        case close(failed: Bool)
    }

    private struct Stop {
        var abandonsConsumerAt: MonotonicInstant?
        var stopsPublishingAt: MonotonicInstant?
        var isConsumerStopped = false
        var isFlushing = false
    }

    private enum Phase {
        case running
        case stopping(Stop)
        case failed
        case closed
    }

    /// The batches and their commits.
    private(set) var commits: Commits
    private let stopTimeout: Duration
    private var phase = Phase.running

    init(
        counter: PlayCounter, deduplication: DeduplicationWindow, settings: PlayProcessor.Settings,
        at now: MonotonicInstant
    ) {
        commits = Commits(
            counter: counter, deduplication: deduplication, settings: settings, at: now)
        stopTimeout = settings.stopTimeout
    }

    /// `true` until the processor has failed or ended. Events have no effect after that.
    var isActive: Bool {
        switch phase {
        case .running, .stopping: true
        case .failed, .closed: false
        }
    }

    /// The phase for monitoring.
    var metricsPhase: ProcessorMetrics.Phase {
        switch phase {
        case .running: .running
        case .stopping: .stopping
        case .failed, .closed: .ended
        }
    }

    /// The time at which the driver must request actions again if no event occurs earlier.
    var nextDeadline: MonotonicInstant? {
        switch phase {
        case .running: return commits.nextDeadline(isStopping: false)
        case .stopping(let stop):
            let deadlines = [
                commits.nextDeadline(isStopping: true), stop.abandonsConsumerAt,
                stop.stopsPublishingAt,
            ]
            return deadlines.compactMap(\.self).min()
        case .failed, .closed: return nil
        }
    }

    // MARK: Events

    /// Counts one play into the open batch.
    ///
    /// - Returns: `true` if the play was counted, `false` if it is a duplicate.
    mutating func count(
        _ play: Play, _ fingerprint: Fingerprint, at now: MonotonicInstant
    ) -> Bool {
        commits.count(play, fingerprint, at: now)
    }

    /// Counts one rejected message.
    mutating func reject(_ reason: Rejection) { commits.reject(reason) }

    /// Adds a delivery (messages of one read) to the open batch. Call ``count(_:_:at:)`` for its
    /// plays first.
    ///
    /// - Parameters:
    ///   - messages: the number of messages in the delivery.
    ///   - limit: the number of messages at which the batch is full.
    ///   - publish: the time when the delivery's oldest message was published.
    mutating func append(
        _ delivery: ReceivedBatch, messages: Int, limit: Int, publishedAt publish: MonotonicInstant,
        at now: MonotonicInstant
    ) {
        commits.append(delivery, messages: messages, limit: limit, publishedAt: publish, at: now)
    }

    /// Adds the counts of an accepted call to the next commit.
    mutating func callAccepted(
        by client: ClientNumber, _ counts: [PlayCount], at now: MonotonicInstant
    ) {
        commits.callAccepted(by: client, counts, at: now)
    }

    mutating func commitSucceeded(at now: MonotonicInstant) { commits.commitSucceeded(at: now) }

    /// - Parameter isFatal: `true` if the processor must not commit again; otherwise the commit is
    ///   repeated after a delay.
    mutating func commitFailed(isFatal: Bool, at now: MonotonicInstant) {
        commits.commitFailed(at: now)
        if isFatal, isActive { phase = .failed }
    }

    /// Begins to stop. The caller then stops the consumer, and reports it with
    /// ``consumerStopped()``.
    ///
    /// - Returns: `true` if the processor was running.
    mutating func stop(at now: MonotonicInstant) -> Bool {
        guard case .running = phase else { return false }
        phase = .stopping(
            Stop(
                abandonsConsumerAt: now + stopTimeout / 2, stopsPublishingAt: now + stopTimeout))
        commits.endRetryDelay(at: now)
        return true
    }

    mutating func consumerStopped() {
        updateStop {
            $0.isConsumerStopped = true
            $0.abandonsConsumerAt = nil
        }
    }

    // MARK: Actions

    /// Returns the next action, or `nil` if the driver has to wait for an event or the deadline.
    ///
    /// - Parameter areClientsIdle: `true` if every client has accepted all counts.
    mutating func nextAction(at now: MonotonicInstant, areClientsIdle: Bool) -> Action? {
        switch phase {
        case .running: return commits.nextAction(at: now, isStopping: false).map(Action.batch)
        case .stopping(let stop):
            return timeoutAction(stop, at: now)
                ?? commits.nextAction(at: now, isStopping: true).map(Action.batch)
                ?? nextStopAction(at: now, areClientsIdle: areClientsIdle)
        case .failed:
            phase = .closed
            return .close(failed: true)
        case .closed: return nil
        }
    }

    private mutating func timeoutAction(_ stop: Stop, at now: MonotonicInstant) -> Action? {
        if let deadline = stop.abandonsConsumerAt, deadline <= now {
            updateStop { $0.abandonsConsumerAt = nil }
            return .abandonConsumer
        }
        if let deadline = stop.stopsPublishingAt, deadline <= now {
            updateStop { $0.stopsPublishingAt = nil }
            return .stopPublishing
        }
        return nil
    }

    private mutating func nextStopAction(
        at now: MonotonicInstant, areClientsIdle: Bool
    ) -> Action? {
        guard case .stopping(let stop) = phase else { return nil }
        if commits.isWaitingToRetry, stop.stopsPublishingAt == nil {
            // The store did not accept the batch. Its messages stay unfinished, so NSQ redelivers
            // them.
            phase = .closed
            return .close(failed: true)
        }
        guard stop.isConsumerStopped, commits.isIdle else { return nil }
        if stop.stopsPublishingAt != nil {
            guard stop.isFlushing else {
                updateStop { $0.isFlushing = true }
                return .flushClients
            }
            guard areClientsIdle else { return nil }
        }
        guard !commits.hasAccepted else { return .batch(.commit(commits.startCommit(at: now))) }
        phase = .closed
        return .close(failed: false)
    }

    private mutating func updateStop(_ update: (inout Stop) -> Void) {
        guard case .stopping(var stop) = phase else { return }
        update(&stop)
        phase = .stopping(stop)
    }
}
