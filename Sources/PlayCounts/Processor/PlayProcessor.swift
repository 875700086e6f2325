import Logging
import NSQClient
import NSQWire
import TallyBasics
import UVLoop

/// Consumes plays from a channel, counts them, and publishes the counts to clients.
///
/// It runs on a loop's thread. Its ``PlayProcessorStateMachine`` decides which actions it performs.
package final class PlayProcessor {
    private let loop: Loop
    private let settings: Settings
    private let consumer: ConsumerEngine
    private let rejects: RejectedPlays
    private let store: PlayStore
    private let publishers: [ClientPublisher]
    private let fingerprinter: Fingerprinter
    private let logger: Logger
    private let timer: Timer
    private var timerDeadline: MonotonicInstant?
    private var machine: PlayProcessorStateMachine<ReceivedBatch>
    private var isPerformingActions = false
    /// Whether ``handleIterationEnd()`` will be called in this iteration.
    private var awaitsIterationEnd = false
    /// The error of the last commit; `nil` if it has succeeded.
    private var lastCommitError: StoreError?
    private let maxInFlight: Int
    /// The sum of all counts in the store at the start.
    private let playsAtStart: Int
    private var stopCompletions: [() -> Void] = []

    /// Receives the events of the processor.
    package var observer = Observer()

    /// Called when the processor has ended because of the store: another processor has opened the
    /// store, or the store did not work before a stop timed out. NSQ redelivers the unfinished
    /// messages.
    package var onFailure: (StoreError) -> Void = { _ in }

    /// Called when the processor has ended for any reason.
    package var onEnd: () -> Void = {}

    /// The numbers of messages since the start.
    package var statistics: Statistics { machine.commits.statistics }

    /// The state of the processor for monitoring.
    package var metrics: ProcessorMetrics {
        let now = loop.instant
        var metrics = ProcessorMetrics()
        metrics.phase = machine.metricsPhase
        metrics.statistics = statistics
        metrics.storedPlays = playsAtStart + statistics.counted
        metrics.videos = machine.commits.videos
        metrics.commits = machine.commits.metrics
        metrics.lastCommitError = lastCommitError
        metrics.connections = consumer.connectionCount
        metrics.messagesInFlight = consumer.inFlight
        metrics.backlogAge = machine.commits.oldestPublishTime.map { now - $0 } ?? .zero
        metrics.clients = publishers.filter(\.client.isRemembered).map(\.metrics)
        return metrics
    }

    /// Reads ``metrics`` from any thread.
    package var metricsReader: ProcessorMetricsReader {
        ProcessorMetricsReader(of: self, on: loop)
    }

    /// Creates a processor that loads its totals from a store.
    ///
    /// - Throws: `StoreError` if the store cannot be read.
    package init(
        on loop: Loop, consumer: ConsumerEngine, rejects: RejectedPlays, store: PlayStore,
        clients: [Client], settings: Settings = Settings(), logger: Logger
    ) throws(StoreError) {
        self.loop = loop
        self.settings = settings
        self.consumer = consumer
        self.rejects = rejects
        self.store = store
        self.logger = logger
        timer = Timer(on: loop)
        let totals = try store.loadTotals()
        playsAtStart = totals.reduce(0) { $0 + $1.count }
        let counter = PlayCounter(totals, realtimeBelow: settings.realtimeBelow)
        let window = try store.loadDeduplicationWindow(settings.deduplication, at: loop.instant)
        fingerprinter = try store.loadFingerprinter()
        machine = PlayProcessorStateMachine(
            counter: counter, deduplication: window, settings: settings, at: loop.instant)
        maxInFlight = consumer.maxInFlight
        let numbers = try store.registerClients(clients.filter(\.isRemembered).map(\.name))
        var publishers: [ClientPublisher] = []
        for (index, client) in clients.enumerated() {
            let number = client.isRemembered ? numbers[client.name] : nil
            publishers.append(
                ClientPublisher(
                    to: client, number: number,
                    unpublished: try number.map(store.unpublishedCounts) ?? [], on: loop,
                    settings: settings, jitterSeed: settings.jitterSeed &+ UInt64(index),
                    logger: logger))
        }
        self.publishers = publishers
        for publisher in publishers {
            publisher.onAccepted = { [weak self, unowned publisher] in
                self?.callAccepted($0, by: publisher)
            }
            publisher.onRoundEnd = { [weak self] in self?.performActions() }
        }
    }

    /// Starts to consume plays, and publishes the counts that an earlier run left unpublished.
    package func start() {
        consumer.onBatch = { [weak self] in self?.receive($0) }
        consumer.start()
        for publisher in publishers { publisher.publishDueCalls() }
        updateTimer()
    }

    /// Stops consuming, then commits, publishes and finishes the received messages.
    ///
    /// - Parameter completion: called after the last message is finished, or when the store has
    ///   failed, or after `stopTimeout`. No play is lost in any of these cases: NSQ redelivers
    ///   unfinished messages, and unpublished counts stay in the store.
    package func stop(_ completion: @escaping () -> Void) {
        guard machine.isActive else { return completion() }
        stopCompletions.append(completion)
        guard machine.stop(at: loop.instant) else { return }
        for publisher in publishers { publisher.endRetryPause() }
        consumer.stop { [weak self] in
            self?.machine.consumerStopped()
            self?.performActions()
        }
        updateTimer()
    }

    // MARK: Events

    private func receive(_ messages: MessageBatch) {
        guard machine.isActive else { return }
        let now = loop.instant
        var rejected: Set<Int> = []
        var oldestPublish = Int64.max
        let source = fingerprinter.source(nsqd: messages.nsqd.description, topic: consumer.topic)
        var index = 0
        messages.forEachReceived { message in
            oldestPublish = min(oldestPublish, message.timestampNanoseconds)
            do throws(Rejection) {
                let play = try settings.play(in: message)
                count(play, fingerprinter.fingerprint(of: play, in: message, from: source), now)
            } catch {
                machine.reject(error)
                observer.rejected(error)
                rejected.insert(index)
                reject(message, messages[index], from: messages.nsqd, error)
            }
            index += 1
        }
        machine.append(
            ReceivedBatch(messages: messages, rejected: rejected), messages: messages.count,
            limit: max(1, consumer.leastReady / 2), publishedAt: instant(ofPublish: oldestPublish),
            at: now)
        guard !awaitsIterationEnd else { return }
        awaitsIterationEnd = true
        loop.callAtIterationEnd(self)
    }

    /// Converts the time of a publish from nsqd's wall clock to the loop's clock. If nsqd's clock
    /// is ahead, the time may lie in the future; then the present is returned.
    private func instant(ofPublish wallNanoseconds: Int64) -> MonotonicInstant {
        let age = loop.wallClockNanoseconds.subtractingSaturated(wallNanoseconds)
        return loop.instant + .nanoseconds(-max(0, age))
    }

    /// Publishes a rejected message to the topic of rejected messages, and then finishes it. This
    /// does not depend on the commit of the batch.
    private func reject(
        _ received: ReceivedMessage, _ message: Message, from nsqd: SocketAddress,
        _ reason: Rejection
    ) {
        rejects.publish(received, message, from: nsqd, reason) { [weak self] isFinished in
            if let self, isFinished { observer.finished(1, loop.instant) }
        }
    }

    private func count(_ play: Play, _ fingerprint: Fingerprint, _ now: MonotonicInstant) {
        if machine.count(play, fingerprint, at: now) {
            observer.counted(play, now)
        } else {
            observer.duplicate(play, now)
        }
    }

    private func callAccepted(_ call: Call, by publisher: ClientPublisher) {
        observer.accepted(publisher.client.name, call, loop.instant)
        guard let number = publisher.number, machine.isActive else { return }
        machine.callAccepted(by: number, call.counts, at: loop.instant)
        updateTimer()
    }

    private func commitEnded(_ result: Result<Void, StoreError>) {
        switch result {
        case .success:
            machine.commitSucceeded(at: loop.instant)
            if lastCommitError != nil { storeRecovered() }
        case .failure(let error):
            machine.commitFailed(isFatal: !error.isTransient, at: loop.instant)
            let isFirst = lastCommitError == nil
            lastCommitError = error
            if isFirst { storeFailed(error) }
        }
        performActions()
    }

    /// Sets RDY to 0, so that nsqd delivers no more messages until a commit succeeds.
    private func storeFailed(_ error: StoreError) {
        defer { observer.storeChanged(error) }
        guard error.isTransient, machine.isActive else { return }
        logger.error("\(error); plays wait in NSQ until the store works")
        consumer.maxInFlight = 0
    }

    private func storeRecovered() {
        lastCommitError = nil
        logger.warning("store '\(store.path)' works again")
        consumer.maxInFlight = maxInFlight
        observer.storeChanged(nil)
    }

    // MARK: Actions

    /// Performs actions until the state machine returns none. If an event occurs during an action,
    /// this method is called again and returns immediately: the `while` loop of the outer call
    /// performs the resulting actions.
    private func performActions() {
        guard !isPerformingActions else { return }
        isPerformingActions = true
        while let action = machine.nextAction(
            at: loop.instant, areClientsIdle: publishers.allSatisfy(\.isIdle))
        {
            perform(action)
        }
        isPerformingActions = false
        updateTimer()
    }

    private func perform(_ action: PlayProcessorStateMachine<ReceivedBatch>.Action) {
        switch action {
        case .batch(let action): perform(action)
        case .abandonConsumer: consumer.abandon()
        case .flushClients: for publisher in publishers { publisher.flush() }
        case .stopPublishing: for publisher in publishers { publisher.stop() }
        case .close(let hasFailed): close(hasFailed: hasFailed)
        }
    }

    private func perform(_ action: CommitStateMachine<ReceivedBatch>.Action) {
        switch action {
        case .commit(let commit):
            observer.commitStarted()
            start(commit)
        case .retryCommit(let commit): start(commit)
        case .publish(let changes):
            observer.committed(changes, loop.instant)
            for publisher in publishers { publisher.publish(changes) }
        case .finish(let deliveries): for delivery in deliveries { finish(delivery) }
        }
    }

    private func start(_ commit: CommitStateMachine<ReceivedBatch>.Commit) {
        let mailbox = loop.mailbox
        let processor = LoopBound(self, on: loop)
        store.commit(commit.changes, counted: commit.fingerprints, published: commit.accepted) {
            result in
            mailbox.submit { processor.removeValue(on: $0)?.commitEnded(result) }
        }
    }

    private func finish(_ delivery: ReceivedBatch) {
        delivery.finish(by: consumer)
        if delivery.playCount > 0 { observer.finished(delivery.playCount, loop.instant) }
    }

    private func close(hasFailed: Bool) {
        timer.close()
        for publisher in publishers { publisher.close() }
        rejects.close()
        if hasFailed {
            consumer.abandon()
            if let lastCommitError { onFailure(lastCommitError) }
        }
        logger.info("\(statistics)")
        onEnd()
        let completions = stopCompletions
        stopCompletions = []
        for completion in completions { completion() }
    }

    private func updateTimer() {
        guard machine.isActive, machine.nextDeadline != timerDeadline else { return }
        timerDeadline = machine.nextDeadline
        guard let timerDeadline else { return timer.stop() }
        timer.start(after: max(.zero, timerDeadline - loop.instant)) { [weak self] in
            self?.timerDeadline = nil
            self?.performActions()
        }
    }
}

extension PlayProcessor: IterationEndHandler {
    package func handleIterationEnd() {
        awaitsIterationEnd = false
        performActions()
    }
}
