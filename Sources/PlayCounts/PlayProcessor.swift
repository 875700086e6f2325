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
        /// How long a play is known again.
        package var counted = CountedPlays.Settings()
        /// How long counts that a client took may stay unnoted while no batch comes along.
        package var longestUnnoted = Duration.milliseconds(100)
        /// The first pause after a client could not be reached, doubled up to the second.
        package var shortestRetry = Duration.milliseconds(100)
        package var longestRetry = Duration.seconds(10)
        /// How long the end may take: nsqd has half of it to take the last answers, and the client
        /// the rest. What is not done by then is done after the next start.
        package var longestStop = Duration.seconds(3)

        package init() {}
    }

    /// What the processor tells whoever watches: on its loop, as it happens.
    package struct Observer {
        /// A play that counts.
        package var received: (Play, Instant) -> Void = { _, _ in }
        /// One that was counted before, and is only finished.
        package var repeated: (Play, Instant) -> Void = { _, _ in }
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
    private let patience: Timer
    package var observer = Observer()

    /// The store failed, so that nothing can be counted any more. The messages stay with NSQ.
    package var onFailure: (StoreError) -> Void = { _ in }

    /// What became of the messages so far.
    package private(set) var statistics = Statistics()

    private var tally: Tally
    private var counted: CountedPlays
    private let fingerprints: Fingerprint.Taker
    private var publisher: CountPublisher
    private var open = Batch()
    /// The batch whose commit is under way.
    private var committing: Batch?
    /// What clients took since the last commit.
    private var taken: [PlayCount] = []
    private var retries = 0
    private var phase = Phase.running
    private var isConsumerStopped = false
    private var whenStopped: [() -> Void] = []

    package struct Statistics: Sendable, CustomStringConvertible {
        package var counted = 0
        /// Counted before, and not again.
        package var repeated = 0
        package var rejected: [Rejection: Int] = [:]

        package var description: String {
            let reasons = rejected.sorted { $0.key.rawValue < $1.key.rawValue }
                .map { "\($0.value) \($0.key.rawValue)" }
            return "counted \(counted) plays; \(repeated) came again; "
                + "\(rejected.values.reduce(0, +)) rejected"
                + (reasons.isEmpty ? "" : " (\(reasons.joined(separator: ", ")))")
        }
    }

    private enum Phase {
        case running
        /// No message comes any more; what is here is brought to its end.
        case stopping
        /// The client has had its time: what it has not taken waits for the next start.
        case givingUp
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
        patience = Timer(on: loop)
        let stored = try store.load()
        tally = Tally(
            stored.map { PlayCount(of: $0.videoID, $0.count) },
            realtimeBelow: settings.realtimeBelow)
        (counted, fingerprints) = try store.loadCounted(settings.counted, at: loop.instant)
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
        guard phase != .failed, phase != .stopped else { return }
        let now = loop.instant
        let rejected = RejectedGroup()
        let source = fingerprints.source(nsqd: messages.nsqd.description, topic: consumer.topic)
        var index = 0
        messages.forEachReceived { message in
            do throws(Rejection) {
                let play = try Play(reading: message.body.bytes, within: settings.limits)
                count(
                    play, fingerprints.fingerprint(of: play, in: message, from: source), now)
            } catch {
                statistics.rejected[error, default: 0] += 1
                observer.rejected(error)
                rejects.put(message, messages[index], error, in: rejected)
            }
            index += 1
        }
        if open.isEmpty { loop.atEndOfTurn(self) }
        open.parts.append((messages, rejected))
    }

    private func count(_ play: Play, _ fingerprint: Fingerprint, _ now: Instant) {
        guard counted.insert(fingerprint) else {
            statistics.repeated += 1
            return observer.repeated(play, now)
        }
        statistics.counted += 1
        tally.count(play, arrival: now)
        observer.received(play, now)
    }

    // MARK: Commit, call, FIN

    /// Commits what is open, and with it what clients took; that alone only if `isDue`, so that
    /// the next batch does not have to wait for it.
    private func commit(taken isDue: Bool = false) {
        guard committing == nil, phase != .failed, phase != .stopped else { return }
        guard !open.isEmpty || isDue && !taken.isEmpty else { return finishStopping() }
        let changes = tally.takeChanges()
        let addition = counted.takeAddition(at: loop.instant)
        committing = open
        open = Batch()
        let published = taken
        taken = []
        unnoted.stop()
        let door = loop.door
        let me = LoopBound(self, on: loop)
        store.commit(changes, counted: addition, published: published) { outcome in
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
            rejected.whenSettled { [weak self] in
                guard let self else { return }
                consumer.finish(messages)
                observer.finished(messages.count - rejected.requeued, loop.instant)
            }
        }
    }

    private func fail(_ error: StoreError) {
        onFailure(error)
        end(.failed)
    }

    // MARK: Publishing

    /// Makes the calls that are due, and looks again when the next will be.
    private func publish() {
        guard phase == .running || phase == .stopping else { return }
        let calls = publisher.calls(at: loop.instant, flushing: isFlushing)
        for call in calls {
            sink.send(call) { [weak self] answer in self?.answered(call, answer) }
        }
        setDeadline()
    }

    /// Before the end all that waits is published: nobody may come to do it within the minute.
    private var isFlushing: Bool {
        isConsumerStopped && committing == nil && open.isEmpty
    }

    private func answered(_ call: Call, _ answer: Result<Void, SinkError>) {
        let now = loop.instant
        switch answer {
        case .success:
            observer.called(call, now)
            retries = 0
            publisher.accepted(call)
            note(call.counts)
        case .failure(let error):
            let pause = min(settings.shortestRetry * (1 << min(retries, 20)), settings.longestRetry)
            logger.warning("call \(call.number) failed, next in \(pause): \(error)")
            publisher.failed(call, retryAt: now + pause)
            // The calls of a round fail together, and are one failure.
            if !publisher.hasCallsUnderWay { retries += 1 }
        }
        guard !publisher.hasCallsUnderWay else { return }
        // On a later turn: a sink may answer at once, and calls are not made inside one another.
        loop.atEndOfTurn(self)
    }

    /// Has the store note what a client took, with the next batch or soon.
    private func note(_ counts: [PlayCount]) {
        taken.append(contentsOf: counts)
        guard phase != .failed, phase != .stopped else { return }
        unnoted.start(after: settings.longestUnnoted) { [weak self] in
            self?.commit(taken: true)
        }
    }

    private func setDeadline() {
        guard let due = publisher.nextDeadline(flushing: isFlushing) else {
            return deadline.stop()
        }
        let delay = max(.zero, due - loop.instant)
        deadline.start(after: delay) { [weak self] in self?.publish() }
    }

    // MARK: The end

    /// Takes no more plays; commits, publishes and finishes what is here.
    ///
    /// - Parameter done: called when that is done, or the store has failed, or the time for it is
    ///   over. Nothing is lost by any of these: messages that are not finished stay with NSQ, and
    ///   counts that are not published with the store.
    package func stop(_ done: @escaping () -> Void) {
        guard phase != .failed, phase != .stopped else { return done() }
        whenStopped.append(done)
        guard phase == .running else { return }
        phase = .stopping
        retries = 0
        publisher.endPause(at: loop.instant)
        patience.start(after: settings.longestStop / 2) { [weak self] in self?.hurry() }
        consumer.stop { [weak self] in
            guard let self else { return }
            isConsumerStopped = true
            publish()
            finishStopping()
        }
    }

    /// Half of the time is over: no more waiting for an nsqd.
    private func hurry() {
        patience.start(after: settings.longestStop / 2) { [weak self] in self?.giveUp() }
        if !isConsumerStopped { consumer.abandon() }
    }

    /// All of it is over: no more waiting for a client.
    private func giveUp() {
        guard phase == .stopping else { return }
        phase = .givingUp
        if publisher.waitingVideos > 0 || publisher.hasCallsUnderWay {
            logger.warning("not all counts are published: the next start goes on with them")
        }
        finishStopping()
    }

    private func finishStopping() {
        guard phase == .stopping || phase == .givingUp else { return }
        guard isConsumerStopped, committing == nil, open.isEmpty else { return }
        if phase == .stopping {
            guard publisher.waitingVideos == 0, !publisher.hasCallsUnderWay else { return }
        }
        guard taken.isEmpty else { return commit(taken: true) }
        end(.stopped)
    }

    private func end(_ last: Phase) {
        phase = last
        for timer in [deadline, unnoted, patience] { timer.close() }
        if phase == .failed { consumer.abandon() }
        logger.info("\(statistics)")
        let waiters = whenStopped
        whenStopped = []
        for done in waiters { done() }
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
