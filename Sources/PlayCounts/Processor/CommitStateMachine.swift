import TallyBasics

/// Decides when the processor commits its batches, and when it repeats a failed commit. It does no
/// I/O.
///
/// At most one commit is in progress. Plays that arrive during a commit form the next batch. A
/// batch with an immediate play is committed at once. Any other batch waits for more plays, because
/// its counts are not urgent, and one commit costs as much as counting thousands of plays. Such a
/// batch is committed when its size reaches half of the smallest RDY count of a connection, and
/// after `Settings.batchDelay` at the latest.
struct CommitStateMachine<ReceivedBatch> {
    typealias Settings = PlayProcessor.Settings

    /// The content of one transaction.
    struct Commit {
        let changes: [CountChange]
        let fingerprints: DeduplicationWindow.Addition
        /// The counts that each client accepted since the last commit.
        let accepted: [ClientNumber: [PlayCount]]
    }

    /// An instruction to the driver, ``PlayProcessor``.
    enum Action {
        /// Starts a commit, and then reports ``commitSucceeded(at:)`` or ``commitFailed(at:)``.
        case commit(Commit)
        /// Repeats a failed commit.
        case retryCommit(Commit)
        /// Enqueues committed counts for publication to the clients.
        case publish([CountChange])
        /// Finishes the messages of the committed batch.
        case finish([ReceivedBatch])
    }

    /// Received messages that are committed together.
    private struct Batch {
        var deliveries: [ReceivedBatch] = []
        var messages = 0
        var counted = 0
        var duplicates = 0
        /// The time at which the oldest message was published.
        var oldestPublishTime: MonotonicInstant?
        /// The latest time at which the commit of this batch starts. A commit in progress can delay
        /// it further.
        var dueAt: MonotonicInstant?
        /// Whether the batch has reached the size at which it is committed before `dueAt`.
        var isFull = false
    }

    private struct PendingCommit {
        let commit: Commit
        let batch: Batch

        /// `false` for an empty commit, which only tests whether the store works.
        var hasChanges: Bool {
            batch.messages > 0 || !commit.changes.isEmpty || !commit.accepted.isEmpty
        }
    }

    private enum State {
        case idle
        case committing(PendingCommit, since: MonotonicInstant)
        case waitingToRetry(PendingCommit, until: MonotonicInstant)
        case committed(PendingCommit)
        case enqueued([ReceivedBatch])
    }

    /// The numbers of messages by outcome. A play is included only after its commit.
    private(set) var statistics = PlayProcessor.Statistics()
    /// The metrics of all commits until now.
    private(set) var metrics = CommitMetrics()

    private let settings: Settings
    private var counter: PlayCounter
    private var deduplication: DeduplicationWindow
    private var batch = Batch()
    private var state = State.idle
    private var accepted: [ClientNumber: [PlayCount]] = [:]
    /// The latest time at which the accepted counts are committed; `nil` if there are none.
    private var acceptedDueAt: MonotonicInstant?
    /// The time of the next empty commit, which tests whether the store still works.
    private var probeDueAt: MonotonicInstant
    private var backoff: Backoff

    init(
        counter: PlayCounter, deduplication: DeduplicationWindow, settings: Settings,
        at now: MonotonicInstant
    ) {
        self.settings = settings
        self.counter = counter
        self.deduplication = deduplication
        probeDueAt = now + settings.storeProbeInterval
        backoff = Backoff(
            from: settings.minStoreRetryDelay, upTo: settings.maxStoreRetryDelay,
            jitterSeed: settings.jitterSeed)
    }

    /// Whether no commit is in progress, the counts of the last one are enqueued for publication,
    /// and its messages are finished.
    var isIdle: Bool { if case .idle = state { true } else { false } }

    /// Whether the last commit has failed and was not repeated yet.
    var isWaitingToRetry: Bool { if case .waitingToRetry = state { true } else { false } }

    /// Whether there are accepted counts that no commit contains yet.
    var hasAccepted: Bool { !accepted.isEmpty }

    /// The number of videos with plays.
    var videos: Int { counter.videos }

    /// The time at which the oldest received message that is not committed was published; `nil` if
    /// there is none.
    var oldestPublishTime: MonotonicInstant? {
        let inCommit: MonotonicInstant? =
            switch state {
            case .committing(let commit, _), .waitingToRetry(let commit, _):
                commit.batch.oldestPublishTime
            case .idle, .committed, .enqueued: nil
            }
        return [inCommit, batch.oldestPublishTime].compactMap(\.self).min()
    }

    /// The time at which the driver must request actions again if no event occurs earlier.
    func nextDeadline(isStopping: Bool) -> MonotonicInstant? {
        switch state {
        case .idle:
            let probe = isStopping ? nil : probeDueAt
            return [batch.dueAt, acceptedDueAt, probe].compactMap(\.self).min()
        case .waitingToRetry(_, let retry): return retry
        // The driver requests actions when the commit ends.
        case .committing, .committed, .enqueued: return nil
        }
    }

    // MARK: Events

    /// Counts one play into the open batch.
    ///
    /// - Returns: `true` if the play was counted, `false` if it is a duplicate.
    mutating func count(
        _ play: Play, _ fingerprint: Fingerprint, at now: MonotonicInstant
    ) -> Bool {
        guard deduplication.insert(fingerprint) else {
            batch.duplicates += 1
            return false
        }
        batch.counted += 1
        counter.count(play, arrival: now)
        return true
    }

    /// Counts one rejected message.
    mutating func reject(_ reason: Rejection) {
        statistics.rejected[reason, default: 0] += 1
    }

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
        batch.deliveries.append(delivery)
        batch.oldestPublishTime = min(batch.oldestPublishTime ?? publish, publish)
        batch.dueAt = batch.dueAt ?? now + settings.batchDelay
        batch.messages += messages
        batch.isFull = batch.messages >= limit
    }

    /// Adds the counts of an accepted call to the next commit. If no batch is committed earlier, a
    /// commit for these counts alone starts after `acceptanceRecordDelay`. The delay makes such
    /// commits rare, because each may delay the next batch.
    mutating func callAccepted(
        by client: ClientNumber, _ counts: [PlayCount], at now: MonotonicInstant
    ) {
        accepted[client, default: []].append(contentsOf: counts)
        acceptedDueAt = now + settings.acceptanceRecordDelay
    }

    mutating func commitSucceeded(at now: MonotonicInstant) {
        guard case .committing(let commit, let start) = state else { return }
        if commit.hasChanges {
            metrics.recordSuccess(
                after: now - start, plays: commit.batch.messages > 0 ? commit.batch.counted : nil)
        }
        statistics.counted += commit.batch.counted
        statistics.duplicates += commit.batch.duplicates
        state = .committed(commit)
        probeDueAt = now + settings.storeProbeInterval
        backoff.reset()
    }

    /// Keeps the batch, which is committed again after a delay. Its messages stay unfinished during
    /// the delay.
    mutating func commitFailed(at now: MonotonicInstant) {
        guard case .committing(let commit, _) = state else { return }
        metrics.recordFailure()
        state = .waitingToRetry(commit, until: now + backoff.nextDelay())
    }

    /// Ends the delay after a failed commit.
    mutating func endRetryDelay(at now: MonotonicInstant) {
        guard case .waitingToRetry(let commit, _) = state else { return }
        state = .waitingToRetry(commit, until: now)
    }

    // MARK: Actions

    /// Returns the next action, or `nil` if the driver has to wait for an event or the deadline.
    ///
    /// - Parameter isStopping: `true` if no batch may wait for more messages.
    mutating func nextAction(at now: MonotonicInstant, isStopping: Bool) -> Action? {
        switch state {
        case .committing: return nil
        case .waitingToRetry(let commit, let retry):
            guard retry <= now else { return nil }
            state = .committing(commit, since: now)
            return .retryCommit(commit.commit)
        case .committed(let commit):
            state = .enqueued(commit.batch.deliveries)
            return .publish(commit.commit.changes)
        case .enqueued(let deliveries):
            state = .idle
            return .finish(deliveries)
        case .idle:
            let isRecordDue = acceptedDueAt.map { $0 <= now } ?? false
            let isProbeDue = !isStopping && probeDueAt <= now
            guard isRecordDue || isProbeDue || isBatchDue(at: now, isStopping) else { return nil }
            return .commit(startCommit(at: now))
        }
    }

    private func isBatchDue(at now: MonotonicInstant, _ isStopping: Bool) -> Bool {
        guard let dueAt = batch.dueAt else { return false }
        return isStopping || batch.isFull || counter.hasImmediateChange || dueAt <= now
    }

    /// Starts a commit of the open batch and the accepted counts, which may both be empty.
    mutating func startCommit(at now: MonotonicInstant) -> Commit {
        let commit = Commit(
            changes: counter.removeChanges(), fingerprints: deduplication.takeBatch(at: now),
            accepted: accepted)
        state = .committing(PendingCommit(commit: commit, batch: batch), since: now)
        batch = Batch()
        accepted = [:]
        acceptedDueAt = nil
        return commit
    }
}
