import TallyBasics

/// Decides when a processor commits its batches to a shared store, and when it repeats a failed
/// commit. It does no I/O, and the time is an argument.
///
/// At most one commit is in progress. Plays that arrive during a commit form the next batch. A play
/// of a video whose total may be below the realtime bound is committed at once; any other batch
/// waits for more plays, as in ``CommitStateMachine``.
///
/// `ReceivedBatch` is a group of received messages that are finished together.
struct SharedCommitStateMachine<ReceivedBatch> {
    /// An instruction to the driver, ``SharedPlayProcessor``.
    enum Action {
        /// Starts a commit, or repeats a failed one. Then report ``commitSucceeded(_:)`` or
        /// ``commitFailed(at:)``.
        case commit(SharedStore.Batch)
        /// Finishes the messages of the committed batch.
        case finish([ReceivedBatch])
    }

    private struct Batch {
        var deliveries: [ReceivedBatch] = []
        var messages = 0
        var plays: [Fingerprint: VideoID] = [:]
        var duplicates = 0
        var isImmediate = false
        var isFull = false
        var dueAt: MonotonicInstant?
    }

    private struct Commit {
        let batch: SharedStore.Batch
        let deliveries: [ReceivedBatch]
        let duplicates: Int
    }

    private enum State {
        case idle
        case committing(Commit)
        case waitingToRetry(Commit, until: MonotonicInstant)
        case committed([ReceivedBatch])
    }

    /// The maximum number of videos that are known to have many plays.
    private static var maxKnownVideos: Int { 1_000_000 }

    /// The numbers of messages by outcome. A play is included only after its commit.
    private(set) var statistics = PlayProcessor.Statistics()
    private let settings: PlayProcessor.Settings
    private var batch = Batch()
    private var state = State.idle
    private var backoff: Backoff
    /// Videos whose totals are not below the realtime bound. Totals only grow.
    private var videosWithManyPlays: Set<VideoID> = []

    init(_ settings: PlayProcessor.Settings) {
        self.settings = settings
        backoff = Backoff(
            from: settings.minStoreRetryDelay, upTo: settings.maxStoreRetryDelay,
            jitterSeed: settings.jitterSeed)
    }

    /// Whether every received message is committed and finished.
    var isIdle: Bool {
        if case .idle = state { batch.deliveries.isEmpty } else { false }
    }

    /// The time at which the driver must request actions again if no event occurs earlier.
    var nextDeadline: MonotonicInstant? {
        switch state {
        case .idle: batch.dueAt
        case .waitingToRetry(_, let time): time
        case .committing, .committed: nil
        }
    }

    /// Adds one play to the open batch.
    mutating func add(_ play: Play, _ fingerprint: Fingerprint) {
        guard batch.plays.updateValue(play.videoID, forKey: fingerprint) == nil else {
            batch.duplicates += 1
            return
        }
        if !videosWithManyPlays.contains(play.videoID) { batch.isImmediate = true }
    }

    /// Counts one rejected message.
    mutating func reject(_ reason: Rejection) {
        statistics.rejected[reason, default: 0] += 1
    }

    /// Adds a delivery to the open batch. Call ``add(_:_:)`` for its plays first.
    ///
    /// - Parameters:
    ///   - messages: the number of messages in the delivery.
    ///   - limit: the number of messages at which the batch is full.
    mutating func append(
        _ delivery: ReceivedBatch, messages: Int, limit: Int, at now: MonotonicInstant
    ) {
        batch.deliveries.append(delivery)
        batch.messages += messages
        batch.isFull = batch.messages >= limit
        batch.dueAt = batch.dueAt ?? now + settings.batchDelay
    }

    /// Reports that the commit has succeeded.
    mutating func commitSucceeded(_ counted: SharedStore.Counted) {
        guard case .committing(let commit) = state else { return }
        statistics.counted += counted.counted
        statistics.duplicates += commit.batch.plays - counted.counted + commit.duplicates
        // The set is a cache: a missing video only makes a commit earlier than necessary.
        if videosWithManyPlays.count > Self.maxKnownVideos { videosWithManyPlays = [] }
        for total in counted.totals where total.count >= settings.realtimeBelow {
            videosWithManyPlays.insert(total.videoID)
        }
        state = .committed(commit.deliveries)
        backoff.reset()
    }

    /// Keeps the batch, which is committed again after a delay. That is harmless if the failed
    /// commit was in fact successful, because the store recognizes the plays.
    mutating func commitFailed(at now: MonotonicInstant) {
        guard case .committing(let commit) = state else { return }
        state = .waitingToRetry(commit, until: now + backoff.nextDelay())
    }

    /// Ends the delay after a failed commit.
    mutating func endRetryDelay(at now: MonotonicInstant) {
        guard case .waitingToRetry(let commit, _) = state else { return }
        state = .waitingToRetry(commit, until: now)
    }

    /// Returns the next action, or `nil` if the driver has to wait for an event or the deadline.
    ///
    /// - Parameter isStopping: `true` if no batch may wait for more messages.
    mutating func nextAction(at now: MonotonicInstant, isStopping: Bool) -> Action? {
        switch state {
        case .committing: return nil
        case .waitingToRetry(let commit, let time):
            guard time <= now else { return nil }
            state = .committing(commit)
            return .commit(commit.batch)
        case .committed(let deliveries):
            state = .idle
            return .finish(deliveries)
        case .idle:
            guard let dueAt = batch.dueAt,
                isStopping || batch.isFull || batch.isImmediate || dueAt <= now
            else { return nil }
            return startCommit()
        }
    }

    private mutating func startCommit() -> Action {
        let commit = Commit(
            batch: SharedStore.Batch(batch.plays), deliveries: batch.deliveries,
            duplicates: batch.duplicates)
        batch = Batch()
        guard commit.batch.plays > 0 else {
            // All messages were rejected.
            state = .idle
            return .finish(commit.deliveries)
        }
        state = .committing(commit)
        return .commit(commit.batch)
    }
}
