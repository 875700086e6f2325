import Logging
import TallyBasics
import UVLoop

/// Publishes counts to one client: makes the calls that its ``CallScheduler`` plans, and retries
/// failed calls.
///
/// Each client has its own publisher, so a slow or unreachable client delays neither other clients
/// nor counting. The publisher keeps only the latest unpublished total of each video.
final class ClientPublisher {
    let client: Client
    /// The client's primary key in the store; `nil` if the store does not record the client.
    let number: ClientNumber?
    /// Called when the client has accepted a call.
    var onAccepted: (Call) -> Void = { _ in }
    /// Called at the end of a loop iteration in which all outstanding calls were answered.
    var onRoundEnd: () -> Void = {}

    private let loop: Loop
    private let logger: Logger
    private let timer: Timer
    private var scheduler: CallScheduler
    private var backoff: Backoff
    /// The time of the next attempt; `nil` unless a call of the current round has failed.
    private var retryAt: MonotonicInstant?
    private var counters: ClientMetrics
    private var isFlushing = false
    private var isStopped = false

    /// Creates a publisher.
    ///
    /// - Parameters:
    ///   - unpublished: the totals that the client has not accepted yet; they are due at once.
    ///   - jitterSeed: seeds the jitter of the retry delays.
    init(
        to client: Client, number: ClientNumber?, unpublished: [PlayCount], on loop: Loop,
        settings: PlayProcessor.Settings, jitterSeed: UInt64, logger: Logger
    ) {
        self.client = client
        self.number = number
        self.loop = loop
        self.logger = logger
        counters = ClientMetrics(of: client.name)
        timer = Timer(on: loop)
        scheduler = CallScheduler(settings.scheduler)
        scheduler.enqueue(unpublished, dueAt: loop.instant)
        backoff = Backoff(
            from: settings.minRetryDelay, upTo: settings.maxRetryDelay, jitterSeed: jitterSeed)
    }

    /// `true` if the client has accepted all counts and no call is outstanding.
    var isIdle: Bool { scheduler.pendingVideos == 0 && !scheduler.hasOutstandingCalls }

    /// The state of the client for monitoring.
    var metrics: ClientMetrics {
        var metrics = counters
        metrics.unpublishedVideos = scheduler.unpublishedVideos
        metrics.oldestUnpublished = scheduler.oldestArrival.map { loop.instant - $0 } ?? .zero
        return metrics
    }

    /// Enqueues the changes of a committed batch, and makes the calls that are due.
    func publish(_ changes: [CountChange]) {
        scheduler.enqueue(changes)
        publishDueCalls()
    }

    /// Enqueues totals that are due now, and makes their calls.
    func publishNow(_ counts: [PlayCount]) {
        scheduler.enqueue(counts, dueAt: loop.instant)
        publishDueCalls()
    }

    /// Makes the calls that are due, and sets the timer for the next deadline.
    func publishDueCalls() {
        guard !isStopped else { return }
        let calls = scheduler.startDueCalls(at: loop.instant, flushing: isFlushing)
        if !calls.isEmpty, retryAt != nil {
            counters.recordRetry()
            retryAt = nil
        }
        for call in calls {
            client.sink.send(call) { [weak self] result in self?.callEnded(call, result) }
        }
        updateTimer()
    }

    /// Ends the delay after a failed call immediately, so that the call is tried once more before
    /// the processor stops.
    func endRetryPause() {
        backoff.reset()
        scheduler.endPause(at: loop.instant)
        publishDueCalls()
    }

    /// Publishes every pending count without waiting for its deadline, because the process will
    /// end.
    func flush() {
        guard !isFlushing else { return }
        isFlushing = true
        publishDueCalls()
    }

    /// Makes no further calls. Outstanding calls may still be answered.
    func stop() {
        isStopped = true
        timer.close()
        guard !isIdle else { return }
        logger.warning(
            "not all counts were published to \(client.name): the next start publishes the rest")
    }

    /// Closes the sink. No callback runs after this.
    func close() {
        discard()
        client.sink.close()
    }

    /// Makes no further calls and runs no further callbacks. The sink stays open.
    func discard() {
        isStopped = true
        timer.close()
        onAccepted = { _ in }
        onRoundEnd = {}
    }

    private func callEnded(_ call: Call, _ result: Result<Void, SinkError>) {
        switch result {
        case .success:
            backoff.reset()
            scheduler.callAccepted(call)
            recordAccepted(call)
            onAccepted(call)
        case .failure(let error): callFailed(call, error)
        }
        guard !scheduler.hasOutstandingCalls else { return }
        // The next calls start at the end of the loop iteration, because a sink may call the
        // completion within `send`, and would otherwise recurse.
        loop.callAtIterationEnd(self)
    }

    private func recordAccepted(_ call: Call) {
        counters.recordAccepted(isImmediate: call.isImmediate)
        for video in call.videos where video.isImmediate {
            counters.recordLatency(loop.instant - scheduler.arrival(of: video))
        }
    }

    /// Handles a failed call. The calls of a round usually fail together, so only the first failure
    /// increases the delay.
    private func callFailed(_ call: Call, _ error: SinkError) {
        counters.recordFailure()
        if retryAt == nil {
            let delay = Duration.milliseconds(backoff.nextDelay().milliseconds)
            logger.warning(
                "call \(call.number) to \(client.name) failed, retrying in \(delay): \(error)")
            retryAt = loop.instant + delay
        }
        scheduler.callFailed(call, retryAt: retryAt ?? loop.instant)
    }

    private func updateTimer() {
        guard let deadline = scheduler.nextDeadline(flushing: isFlushing) else {
            return timer.stop()
        }
        timer.start(after: max(.zero, deadline - loop.instant)) { [weak self] in
            self?.publishDueCalls()
        }
    }
}

extension ClientPublisher: IterationEndHandler {
    func handleIterationEnd() {
        if !scheduler.hasOutstandingCalls { publishDueCalls() }
        onRoundEnd()
    }
}
