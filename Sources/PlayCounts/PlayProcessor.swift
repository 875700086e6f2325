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
        /// A message delivered more often goes to the rejected ones unread: it may be what ended the
        /// processor every time. 0 is no limit.
        package var maxAttempts = 100
        /// How long a play is known again.
        package var counted = CountedPlays.Settings()
        /// How long counts that a client took may stay unnoted while no batch comes along.
        package var longestUnnoted = Duration.milliseconds(100)
        /// The first pause after a client could not be reached, doubled up to the second; each is
        /// shortened by up to half, by chance.
        package var shortestRetry = Duration.milliseconds(100)
        package var longestRetry = Duration.seconds(10)
        /// Where that chance begins.
        package var retrySeed = UInt64.random(in: .min ... .max)
        /// How long the end may take: nsqd has half of it to take the last answers, and the clients
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
        /// A client took a call.
        package var called: (_ client: String, Call, Instant) -> Void = { _, _, _ in }
        package var finished: (_ messages: Int, Instant) -> Void = { _, _ in }

        package init() {}
    }

    private let loop: Loop
    private let settings: Settings
    private let consumer: ConsumerEngine
    private let rejects: RejectedPlays
    private let store: PlayStore
    private let feeds: [ClientFeed]
    private let logger: Logger
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
    private var open = Batch()
    /// The batch whose commit is under way.
    private var committing: Batch?
    /// What clients took since the last commit.
    private var taken: [ClientNumber: [PlayCount]] = [:]
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
        /// The clients have had their time: what they have not taken waits for the next start.
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
        clients: [Client], settings: Settings = Settings(), logger: Logger
    ) throws(StoreError) {
        self.loop = loop
        self.settings = settings
        self.consumer = consumer
        self.rejects = rejects
        self.store = store
        self.logger = logger
        unnoted = Timer(on: loop)
        patience = Timer(on: loop)
        tally = Tally(try store.totals(), realtimeBelow: settings.realtimeBelow)
        (counted, fingerprints) = try store.loadCounted(settings.counted, at: loop.instant)
        let numbers = try store.serve(clients.filter(\.isRemembered).map(\.name))
        var feeds: [ClientFeed] = []
        for (index, client) in clients.enumerated() {
            let number = client.isRemembered ? numbers[client.name] : nil
            feeds.append(
                ClientFeed(
                    client, number: number, missed: try number.map(store.missed) ?? [], on: loop,
                    settings: settings, seed: settings.retrySeed &+ UInt64(index), logger: logger))
        }
        self.feeds = feeds
        for feed in feeds {
            feed.onTaken = { [weak self, unowned feed] in self?.taken($0, by: feed) }
            feed.onRest = { [weak self] in self?.commit() }
        }
    }

    /// Begins to consume, and publishes what an earlier run left unpublished.
    package func start() {
        consumer.onBatch = { [weak self] in self?.take($0) }
        consumer.start()
        for feed in feeds { feed.publish() }
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
                try checkAttempts(of: message)
                let play = try Play(reading: message.body.bytes, within: settings.limits)
                count(
                    play, fingerprints.fingerprint(of: play, in: message, from: source), now)
            } catch {
                statistics.rejected[error, default: 0] += 1
                observer.rejected(error)
                rejects.put(message, messages[index], from: messages.nsqd, error, in: rejected)
            }
            index += 1
        }
        if open.isEmpty { loop.atEndOfTurn(self) }
        open.parts.append((messages, rejected))
    }

    private func checkAttempts(of message: ReceivedMessage) throws(Rejection) {
        guard settings.maxAttempts > 0 else { return }
        if message.attempts > settings.maxAttempts { throw .tooManyAttempts }
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
        taken = [:]
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
        for feed in feeds { feed.receive(changes) }
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

    /// Has the store note what a client took, with the next batch or soon.
    private func taken(_ call: Call, by feed: ClientFeed) {
        observer.called(feed.client.name, call, loop.instant)
        guard let number = feed.number, phase != .failed, phase != .stopped else { return }
        taken[number, default: []].append(contentsOf: call.counts)
        unnoted.start(after: settings.longestUnnoted) { [weak self] in
            self?.commit(taken: true)
        }
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
        for feed in feeds { feed.endPause() }
        patience.start(after: settings.longestStop / 2) { [weak self] in self?.hurry() }
        consumer.stop { [weak self] in
            guard let self else { return }
            isConsumerStopped = true
            finishStopping()
        }
    }

    /// Half of the time is over: no more waiting for an nsqd.
    private func hurry() {
        patience.start(after: settings.longestStop / 2) { [weak self] in self?.giveUp() }
        if !isConsumerStopped { consumer.abandon() }
    }

    /// All of it is over: no more waiting for clients.
    private func giveUp() {
        guard phase == .stopping else { return }
        phase = .givingUp
        for feed in feeds { feed.giveUp() }
        finishStopping()
    }

    private func finishStopping() {
        guard phase == .stopping || phase == .givingUp else { return }
        guard isConsumerStopped, committing == nil, open.isEmpty else { return }
        if phase == .stopping {
            for feed in feeds { feed.flush() }
            guard feeds.allSatisfy(\.isIdle) else { return }
        }
        guard taken.isEmpty else { return commit(taken: true) }
        end(.stopped)
    }

    private func end(_ last: Phase) {
        phase = last
        for timer in [unnoted, patience] { timer.close() }
        for feed in feeds { feed.close() }
        rejects.close()
        if phase == .failed { consumer.abandon() }
        logger.info("\(statistics)")
        let waiters = whenStopped
        whenStopped = []
        for done in waiters { done() }
    }
}

extension PlayProcessor: EndOfTurnParticipant {
    package func turnEnds() {
        commit()
    }
}

extension Loop {
    /// The present, on the clock of counting and publishing.
    package var instant: Instant { Instant(nanoseconds: nowNanoseconds) }
}
