import Logging
import NSQClient
import UVLoop

/// Keeps one client up to date: has its publisher decide which counts go out when, makes the calls,
/// and comes again after a failure.
///
/// Every client has a feed of its own, and so hears every total at its own pace, and none after a
/// newer one. One that is slow or gone holds nobody up: its counts wait here, newer in place of
/// older ones, and when it is back it is told the last total of each, in full calls.
final class ClientFeed {
    let client: Client
    /// By which the store knows it; `nil` if it does not.
    let number: ClientNumber?
    /// A call was taken.
    var onTaken: (Call) -> Void = { _ in }
    /// Nothing is due and no answer either, at the end of a turn in which there was one.
    var onRest: () -> Void = {}

    private let loop: Loop
    private let logger: Logger
    private let deadline: Timer
    private var publisher: CountPublisher
    private var backoff: Backoff
    private var chance: SplitMix64
    /// When to come again, once a call of the round under way has failed.
    private var retry: Instant?
    private var isFlushing = false
    private var isClosed = false

    init(
        _ client: Client, number: ClientNumber?, missed: [PlayCount], on loop: Loop,
        settings: PlayProcessor.Settings, seed: UInt64, logger: Logger
    ) {
        self.client = client
        self.number = number
        self.loop = loop
        self.logger = logger
        deadline = Timer(on: loop)
        publisher = CountPublisher(settings.publisher)
        publisher.catchUp(with: missed, at: loop.instant)
        backoff = Backoff(shortest: settings.shortestRetry, longest: settings.longestRetry)
        chance = SplitMix64(seed: seed)
    }

    /// The client has all there is, and has answered every call.
    var isIdle: Bool { publisher.waitingVideos == 0 && !publisher.hasCallsUnderWay }

    func receive(_ changes: [CountChange]) {
        publisher.receive(changes)
        publish()
    }

    /// Makes the calls that are due, and looks again when the next will be.
    func publish() {
        guard !isClosed else { return }
        let calls = publisher.calls(at: loop.instant, flushing: isFlushing)
        if !calls.isEmpty { retry = nil }
        for call in calls {
            client.sink.send(call) { [weak self] answer in self?.answered(call, answer) }
        }
        setDeadline()
    }

    /// Ends the pause after a failure: before the end the client is tried once more.
    func endPause() {
        backoff.reset()
        publisher.endPause(at: loop.instant)
        publish()
    }

    /// Publishes all that waits, for nobody may come to do it within the minute.
    func flush() {
        guard !isFlushing else { return }
        isFlushing = true
        publish()
    }

    /// Makes no further call. Those under way may still be answered.
    func giveUp() {
        isClosed = true
        deadline.close()
        guard !isIdle else { return }
        logger.warning(
            "not all counts are published to \(client.name): the next start goes on with them")
    }

    /// Lets go of the client.
    func close() {
        isClosed = true
        deadline.close()
        onTaken = { _ in }
        onRest = {}
        client.sink.close()
    }

    private func answered(_ call: Call, _ answer: Result<Void, SinkError>) {
        switch answer {
        case .success:
            backoff.reset()
            publisher.accepted(call)
            onTaken(call)
        case .failure(let error): failed(call, error)
        }
        guard !publisher.hasCallsUnderWay else { return }
        // On a later turn: a sink may answer at once, and calls are not made inside one another.
        loop.atEndOfTurn(self)
    }

    /// The calls of a round fail together, and are one failure.
    private func failed(_ call: Call, _ error: SinkError) {
        if retry == nil {
            let full = backoff.delayAfterFailure(chance: chance.nextFraction())
            let pause = Duration.milliseconds(full.nanoseconds / 1_000_000)
            logger.warning(
                "call \(call.number) to \(client.name) failed, next in \(pause): \(error)")
            retry = loop.instant + pause
        }
        publisher.failed(call, retryAt: retry ?? loop.instant)
    }

    private func setDeadline() {
        guard let due = publisher.nextDeadline(flushing: isFlushing) else {
            return deadline.stop()
        }
        deadline.start(after: max(.zero, due - loop.instant)) { [weak self] in self?.publish() }
    }
}

extension ClientFeed: EndOfTurnParticipant {
    func turnEnds() {
        if !publisher.hasCallsUnderWay { publish() }
        onRest()
    }
}
