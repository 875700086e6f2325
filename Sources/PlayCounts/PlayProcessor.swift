import Logging
import NSQClient
import NSQWire
import UVLoop

/// Takes plays off a channel, counts them, and publishes the counts: commit, call, FIN.
///
/// Lives on a loop's thread. What has come in since the last commit began is one batch: it is
/// committed at once if no commit is under way, and otherwise as soon as that one is back. Then its
/// call follows directly, and then its messages are finished. A crash at any point leaves the
/// messages with NSQ, or the counts in the store, or both; never neither.
package final class PlayProcessor {
    package struct Settings: Sendable {
        package var publisher = CountPublisher.Settings()
        /// A play that leaves its video below this many is published at once.
        package var realtimeBelow = 100
        package var limits = PlayLimits()
        /// How long counts that a client took may stay unnoted while no batch comes along.
        package var longestUnnoted = Duration.milliseconds(100)
        /// The first pause after a client could not be reached, doubled up to the second.
        package var shortestRetry = Duration.milliseconds(100)
        package var longestRetry = Duration.seconds(10)

        package init() {}
    }

    /// What the processor tells whoever watches: on its loop, as it happens.
    package struct Observer {
        package var received: (Play, Instant) -> Void = { _, _ in }
        package var rejected: (Rejection) -> Void = { _ in }
        package var committed: ([CountChange], Instant) -> Void = { _, _ in }
        package var called: (Call, Instant) -> Void = { _, _ in }
        package var finished: (_ messages: Int, Instant) -> Void = { _, _ in }

        package init() {}
    }

    private let loop: Loop
    private let settings: Settings
    private let consumer: ConsumerEngine
    private let rejects: RejectedPlays
    private let store: PlayStore
    private let sink: any Sink
    private let logger: Logger
    private let deadline: Timer
    private let unnoted: Timer
    package var observer = Observer()

    /// The store failed, so that nothing can be counted any more. The messages stay with NSQ.
    package var onFailure: (StoreError) -> Void = { _ in }

    private var tally: Tally
    private var publisher: CountPublisher
    private var open = Batch()
    /// The batch whose commit is under way.
    private var committing: Batch?
    /// What clients took since the last commit.
    private var taken: [PlayCount] = []
    private var retries = 0
    private var phase = Phase.running
    private var whenStopped: () -> Void = {}

    private enum Phase {
        case running
        /// No message comes any more; what is here is brought to its end.
        case stopping
        case stopped
        case failed
    }

    /// Messages that are committed, published and finished together.
    private struct Batch {
        var parts: [(messages: MessageBatch, rejected: RejectedGroup)] = []
        var isEmpty: Bool { parts.isEmpty }
    }

    /// - Throws: `StoreError` if the store cannot be read.
    package init(
        on loop: Loop, consumer: ConsumerEngine, rejects: RejectedPlays, store: PlayStore,
        sink: any Sink, settings: Settings = Settings(), logger: Logger
    ) throws(StoreError) {
        self.loop = loop
        self.settings = settings
        self.consumer = consumer
        self.rejects = rejects
        self.store = store
        self.sink = sink
        self.logger = logger
        deadline = Timer(on: loop)
        unnoted = Timer(on: loop)
        let stored = try store.load()
        tally = Tally(
            stored.map { PlayCount(of: $0.videoID, $0.count) },
            realtimeBelow: settings.realtimeBelow)
        publisher = CountPublisher(settings.publisher)
        publisher.catchUp(
            with: stored.filter { $0.count != $0.published }
                .map { PlayCount(of: $0.videoID, $0.count) },
            at: loop.instant)
    }

    /// Begins to consume, and publishes what an earlier run left unpublished.
    package func start() {
        consumer.onBatch = { [weak self] in self?.take($0) }
        consumer.start()
        publish()
    }

    // MARK: Taking plays

    private func take(_ messages: MessageBatch) {
        guard phase == .running || phase == .stopping else { return }
        let now = loop.instant
        let rejected = RejectedGroup()
        var index = 0
        messages.forEachReceived { message in
            do throws(Rejection) {
                let play = try Play(reading: message.body.bytes, within: settings.limits)
                tally.count(play, arrival: now)
                observer.received(play, now)
            } catch {
                observer.rejected(error)
                rejects.put(message, messages[index], error, in: rejected)
            }
            index += 1
        }
        if open.isEmpty { loop.atEndOfTurn(self) }
        open.parts.append((messages, rejected))
    }

    // MARK: Commit, call, FIN

    /// Commits what is open, and with it what clients took; that alone only if `isDue`, so that
    /// the next batch does not have to wait for it.
    private func commit(taken isDue: Bool = false) {
        guard committing == nil, phase != .failed, phase != .stopped else { return }
        guard !open.isEmpty || isDue && !taken.isEmpty else { return finishStopping() }
        let changes = tally.takeChanges()
        committing = open
        open = Batch()
        let published = taken
        taken = []
        unnoted.stop()
        let door = loop.door
        let me = LoopBound(self, on: loop)
        store.commit(changes, published: published) { outcome in
            door.submit { me.takeOut(on: $0)?.committed(changes, outcome) }
        }
    }

    private func committed(_ changes: [CountChange], _ outcome: Result<Void, StoreError>) {
        guard let batch = committing else { return }
        committing = nil
        if case .failure(let error) = outcome { return fail(error) }
        observer.committed(changes, loop.instant)
        publisher.receive(changes)
        publish()
        finish(batch)
        commit()
    }

    /// The rejected ones among them are finished once they are safe in their own topic.
    private func finish(_ batch: Batch) {
        for (messages, rejected) in batch.parts {
            rejected.whenSafe { [weak self] in
                guard let self else { return }
                consumer.finish(messages)
                observer.finished(messages.count, loop.instant)
            }
        }
    }

    private func fail(_ error: StoreError) {
        phase = .failed
        deadline.stop()
        unnoted.stop()
        onFailure(error)
    }

    // MARK: Publishing

    /// Makes the calls that are due, and looks again when the next will be.
    private func publish() {
        guard phase != .failed, phase != .stopped else { return }
        let calls = publisher.calls(at: loop.instant, flushing: isFlushing)
        for call in calls {
            sink.send(call) { [weak self] answer in self?.answered(call, answer) }
        }
        setDeadline()
    }

    /// Before the end all that waits is published: nobody may come to do it within the minute.
    private var isFlushing: Bool { phase == .stopping && committing == nil && open.isEmpty }

    private func answered(_ call: Call, _ answer: Result<Void, SinkError>) {
        let now = loop.instant
        switch answer {
        case .success:
            observer.called(call, now)
            retries = 0
            publisher.accepted(call)
            taken.append(contentsOf: call.counts)
            unnoted.start(after: settings.longestUnnoted) { [weak self] in
                self?.commit(taken: true)
            }
        case .failure(let error):
            let pause = min(settings.shortestRetry * (1 << min(retries, 20)), settings.longestRetry)
            retries += 1
            logger.warning("call \(call.number) failed, next in \(pause): \(error)")
            publisher.failed(call, retryAt: now + pause)
        }
        guard !publisher.hasCallsUnderWay else { return }
        // On a later turn: a sink may answer at once, and calls are not made inside one another.
        loop.atEndOfTurn(self)
    }

    private func setDeadline() {
        guard let due = publisher.nextDeadline else { return deadline.stop() }
        let delay = max(.zero, due - loop.instant)
        deadline.start(after: delay) { [weak self] in self?.publish() }
    }

    // MARK: The end

    /// Takes no more plays; commits, publishes and finishes what is here.
    ///
    /// - Parameter done: called once all of that is done, unless the store or the client fails.
    package func stop(_ done: @escaping () -> Void) {
        guard phase == .running else { return done() }
        phase = .stopping
        whenStopped = done
        consumer.stop { [weak self] in
            guard let self else { return }
            isConsumerStopped = true
            publish()
            finishStopping()
        }
    }

    private var isConsumerStopped = false

    private func finishStopping() {
        guard phase == .stopping, isConsumerStopped, committing == nil, open.isEmpty else { return }
        guard publisher.waitingVideos == 0, !publisher.hasCallsUnderWay else { return publish() }
        guard taken.isEmpty else { return commit(taken: true) }
        phase = .stopped
        deadline.close()
        unnoted.close()
        whenStopped()
    }
}

extension PlayProcessor: EndOfTurnParticipant {
    package func turnEnds() {
        if !publisher.hasCallsUnderWay { publish() }
        commit()
    }
}

extension Loop {
    /// The present, on the clock of counting and publishing.
    package var instant: Instant { Instant(nanoseconds: nowNanoseconds) }
}
