import Logging
import NSQClient
import NSQWire
import TallyBasics
import UVLoop

/// Consumes plays from a channel and counts them in a shared store, beside any number of other
/// processes. For each client, one of the processes publishes the counts.
///
/// It runs on a loop's thread. Messages are finished after their commit. Their counts need not be
/// published before that, because the store contains what every client must receive.
package final class SharedPlayProcessor {
    private enum Phase {
        case running
        /// The consumer stops, and the received messages are committed.
        case committing
        /// Everything is committed. The clients receive what they have not accepted.
        case publishing
        case closed
    }

    private let loop: Loop
    private let settings: PlayProcessor.Settings
    private let consumer: ConsumerEngine
    private let rejects: RejectedPlays
    private let store: SharedStore
    private let publishers: [SharedClientPublisher]
    private let fingerprinter: Fingerprinter
    private let logger: Logger
    private let timer: Timer
    private let stopTimer: Timer
    private let maxInFlight: Int
    private var machine: SharedCommitStateMachine<ReceivedBatch>
    private var phase = Phase.running
    private var isConsumerStopped = false
    private var lastError: SharedStoreError?
    private var stopCompletions: [() -> Void] = []
    private var isPerformingActions = false
    /// Whether ``handleIterationEnd()`` will be called in this iteration.
    private var awaitsIterationEnd = false

    /// Called when the processor has ended before it could commit the received messages, which NSQ
    /// redelivers.
    package var onFailure: (SharedStoreError) -> Void = { _ in }

    /// Called when the processor has ended for any reason.
    package var onEnd: () -> Void = {}

    /// The numbers of messages since the start.
    package var statistics: PlayProcessor.Statistics { machine.statistics }

    /// Creates a processor with an open store, which it closes at its end.
    ///
    /// - Parameter clients: the clients, each with its number in the store.
    package init(
        on loop: Loop, consumer: ConsumerEngine, rejects: RejectedPlays, store: SharedStore,
        identity: SharedStore.Identity, clients: [(client: Client, number: ClientNumber)],
        logger: Logger
    ) {
        self.loop = loop
        self.consumer = consumer
        self.rejects = rejects
        self.store = store
        self.logger = logger
        settings = store.settings
        fingerprinter = identity.fingerprinter
        timer = Timer(on: loop)
        stopTimer = Timer(on: loop)
        maxInFlight = consumer.maxInFlight
        machine = SharedCommitStateMachine(settings)
        let holder = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 16) }
            .joined()
        publishers = clients.map { client, number in
            SharedClientPublisher(
                to: client, number: number, store: store, holder: holder, settings: store.settings,
                lease: PublisherLease.Settings(), logger: logger)
        }
    }

    /// Starts to consume plays and to publish.
    package func start() {
        consumer.onBatch = { [weak self] in self?.receive($0) }
        consumer.start()
        for publisher in publishers { publisher.start() }
    }

    /// Stops consuming, commits and finishes the received messages, and publishes what the clients
    /// of which this process holds the lease have not accepted.
    ///
    /// - Parameter completion: called after that, or after `stopTimeout`. No play is lost in any of
    ///   these cases: NSQ redelivers unfinished messages, and unpublished counts stay in the store.
    package func stop(_ completion: @escaping () -> Void) {
        if case .closed = phase { return completion() }
        stopCompletions.append(completion)
        guard case .running = phase else { return }
        phase = .committing
        machine.endRetryDelay(at: loop.instant)
        consumer.stop { [weak self] in
            self?.isConsumerStopped = true
            self?.performActions()
        }
        stopTimer.start(after: settings.stopTimeout / 2) { [weak self] in self?.stopIsSlow() }
        performActions()
    }

    // MARK: Events

    private func receive(_ messages: MessageBatch) {
        if case .closed = phase { return }
        var rejected: Set<Int> = []
        let source = fingerprinter.source(nsqd: messages.nsqd.description, topic: consumer.topic)
        var index = 0
        messages.forEachReceived { message in
            do throws(Rejection) {
                let play = try settings.play(in: message)
                machine.add(play, fingerprinter.fingerprint(of: play, in: message, from: source))
            } catch {
                machine.reject(error)
                rejected.insert(index)
                rejects.publish(message, messages[index], from: messages.nsqd, error) { _ in }
            }
            index += 1
        }
        machine.append(
            ReceivedBatch(messages: messages, rejected: rejected), messages: messages.count,
            limit: max(1, consumer.leastReady / 2), at: loop.instant)
        guard !awaitsIterationEnd else { return }
        awaitsIterationEnd = true
        loop.callAtIterationEnd(self)
    }

    private func commitEnded(_ result: Result<SharedStore.Counted, SharedStoreError>) {
        if case .closed = phase { return }
        switch result {
        case .success(let counted):
            machine.commitSucceeded(counted)
            if lastError != nil { storeRecovered() }
            for publisher in publishers where counted.counted > 0 { publisher.countsChanged() }
        case .failure(let error):
            machine.commitFailed(at: loop.instant)
            storeFailed(error)
        }
        performActions()
    }

    /// Sets RDY to 0, so that nsqd delivers no more messages until a commit succeeds.
    private func storeFailed(_ error: SharedStoreError) {
        if error != lastError { logger.error("\(error); plays wait in NSQ until the store works") }
        lastError = error
        consumer.maxInFlight = 0
    }

    private func storeRecovered() {
        lastError = nil
        logger.warning("store '\(store.name)' works again")
        consumer.maxInFlight = maxInFlight
    }

    // MARK: Actions

    /// Performs actions until the state machine returns none; see
    /// ``PlayProcessor/performActions()``.
    private func performActions() {
        guard !isPerformingActions else { return }
        if case .closed = phase { return }
        isPerformingActions = true
        let isStopping = if case .running = phase { false } else { true }
        while let action = machine.nextAction(at: loop.instant, isStopping: isStopping) {
            switch action {
            case .commit(let batch):
                store.count(batch) { [weak self] in self?.commitEnded($0) }
            case .finish(let deliveries):
                for delivery in deliveries { delivery.finish(by: consumer) }
            }
        }
        isPerformingActions = false
        if case .committing = phase, isConsumerStopped, machine.isIdle { publishRest() }
        updateTimer()
    }

    private func publishRest() {
        phase = .publishing
        var running = publishers.count
        if running == 0 { close() }
        for publisher in publishers {
            publisher.stop { [weak self] in
                running -= 1
                if running == 0 { self?.close() }
            }
        }
    }

    /// Ends the wait for nsqd's responses after half of the stop timeout, and the stop after all of
    /// it.
    private func stopIsSlow() {
        if case .committing = phase, !isConsumerStopped {
            consumer.abandon()
            isConsumerStopped = true
            performActions()
        }
        if case .closed = phase { return }
        stopTimer.start(after: settings.stopTimeout / 2) { [weak self] in
            guard let self else { return }
            if case .publishing = phase {
                logger.warning("not all counts were published: another process publishes the rest")
            }
            close()
        }
    }

    private func close() {
        if case .closed = phase { return }
        let hasFailed = !machine.isIdle
        phase = .closed
        timer.close()
        stopTimer.close()
        for publisher in publishers { publisher.close() }
        rejects.close()
        if hasFailed { consumer.abandon() }
        store.close()
        if hasFailed {
            let detail = "no response before the stop ended (NSQ redelivers the received plays)"
            onFailure(lastError ?? SharedStoreError(.database, store: store.name, detail: detail))
        }
        logger.info("\(statistics)")
        onEnd()
        let completions = stopCompletions
        stopCompletions = []
        for completion in completions { completion() }
    }

    private func updateTimer() {
        guard let deadline = machine.nextDeadline else { return timer.stop() }
        timer.start(after: max(.zero, deadline - loop.instant)) { [weak self] in
            self?.performActions()
        }
    }
}

extension SharedPlayProcessor: IterationEndHandler {
    package func handleIterationEnd() {
        awaitsIterationEnd = false
        performActions()
    }
}
