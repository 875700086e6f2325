import NSQClient
import NSQWire
import UVLoop

/// Publishes plays to an nsqd, in batches: as fast as it takes them, or at a rate.
///
/// Lives on a loop's thread. A window of batches is under way; the next is made when one has been
/// answered, so that any number of plays takes bounded memory.
///
/// When the connection breaks, what had no answer is published again, a bounded number of times:
/// all that was never sent, and of what was, the batches in which every play has an id, so that
/// whoever counts them takes each of them once. That there is no nsqd at all is said at once.
package final class PlayProducer {
    package struct Settings: Sendable {
        /// Plays per second; 0 is as fast as they are taken.
        package var rate = 0.0
        package var playsPerBatch = 200
        /// A batch that has reached this takes no more; nsqd takes 5 MiB, and a play of 1 MiB.
        package var bytesPerBatch = 1 << 20
        package var batchesUnderWay = 8
        /// How often in a row publishing may fail before it is given up: some 17 s of pauses.
        package var retries = 12
        /// The first pause before publishing again, doubled up to the second.
        package var shortestRetry = Duration.milliseconds(100)
        package var longestRetry = Duration.seconds(2)

        package init() {}
    }

    /// Gives the next message's body; `nil` after the last.
    package typealias Source = () throws -> [UInt8]?

    private let loop: Loop
    private let engine: ProducerEngine
    private let topic: TopicName
    private let settings: Settings
    private let source: Source
    private let pace: Timer
    private let pause: Timer

    private var startedAt: Instant?
    private var taken = 0
    private var underWay = 0
    /// What failed and is to be published again, oldest first.
    private var failed: [Parcel] = []
    /// Failures since the last success.
    private var failures = 0
    private var wasConnected = false
    private var isAtEnd = false
    private var failure: (any Error)?
    private var whenDone: ((Result<Int, any Error>) -> Void)?

    /// How many plays nsqd has acknowledged.
    package private(set) var published = 0 {
        didSet { onProgress(published) }
    }
    package var onProgress: (Int) -> Void = { _ in }

    /// A batch, and its messages one by one.
    private struct Parcel {
        var batch = PublishBatch()
        var bodies: [[UInt8]] = []

        mutating func append(_ body: [UInt8]) {
            batch.append(body)
            bodies.append(body)
        }

        /// Whether whoever counts the plays can tell that they come again.
        var isKnownAgain: Bool {
            bodies.allSatisfy { (try? Play(reading: $0.span.bytes))?.playID != nil }
        }
    }

    package init(
        on loop: Loop, engine: ProducerEngine, topic: TopicName, settings: Settings = Settings(),
        source: @escaping Source
    ) {
        self.loop = loop
        self.engine = engine
        self.topic = topic
        self.settings = settings
        self.source = source
        pace = Timer(on: loop)
        pause = Timer(on: loop)
    }

    /// Publishes all there is.
    ///
    /// - Parameter done: called once: with the number of plays published, or with what went wrong
    ///   first. What was published before that stays published.
    package func start(_ done: @escaping (Result<Int, any Error>) -> Void) {
        whenDone = done
        startedAt = loop.instant
        goOn()
    }

    private func goOn() {
        while failure == nil, failed.isEmpty, !isAtEnd, underWay < settings.batchesUnderWay {
            let allowed = min(settings.playsPerBatch, allowance)
            guard allowed > 0 else { return waitForAllowance() }
            let parcel = nextParcel(of: allowed)
            taken += parcel.batch.count
            if parcel.batch.count > 0 { publish(parcel) }
        }
        finish()
    }

    private func nextParcel(of count: Int) -> Parcel {
        var parcel = Parcel()
        do {
            while parcel.batch.count < count, parcel.batch.byteCount < settings.bytesPerBatch {
                guard let body = try source() else {
                    isAtEnd = true
                    break
                }
                parcel.append(body)
            }
        } catch {
            failure = error
        }
        return parcel
    }

    private func publish(_ parcel: Parcel) {
        underWay += 1
        engine.publish(parcel.batch, to: topic) { [weak self] error in
            guard let self else { return }
            underWay -= 1
            if let error {
                failed(parcel, error)
            } else {
                failures = 0
                wasConnected = true
                published += parcel.batch.count
            }
            goOn()
        }
    }

    private func finish() {
        guard underWay == 0, failed.isEmpty || failure != nil, isAtEnd || failure != nil,
            let done = whenDone
        else { return }
        whenDone = nil
        pace.close()
        pause.close()
        done(failure.map { .failure($0) } ?? .success(published))
    }

    // MARK: Failures

    private func failed(_ parcel: Parcel, _ error: NSQError) {
        guard failure == nil else { return }
        guard mayRetry(parcel, after: error), failures < settings.retries else {
            return failure = error
        }
        failed.append(parcel)
        // What is under way fails along with it, and is one failure.
        guard failed.count == 1 else { return }
        let delay = min(settings.shortestRetry * (1 << min(failures, 20)), settings.longestRetry)
        failures += 1
        pause.start(after: delay) { [weak self] in self?.publishAgain() }
    }

    private func mayRetry(_ parcel: Parcel, after error: NSQError) -> Bool {
        switch error {
        case .connectionLost:
            wasConnected = true
            return parcel.isKnownAgain
        case .unreachable: return wasConnected
        default: return false
        }
    }

    private func publishAgain() {
        let parcels = failed
        failed = []
        for parcel in parcels { publish(parcel) }
        goOn()
    }

    // MARK: Rate

    /// How many plays may be sent by now that have not been.
    private var allowance: Int {
        guard settings.rate > 0, let startedAt else { return .max }
        let passed = Double((loop.instant - startedAt).nanoseconds) / 1e9
        return Int(passed * settings.rate) + 1 - taken
    }

    private func waitForAllowance() {
        pace.start(after: .nanoseconds(Int64(1e9 / settings.rate))) { [weak self] in
            self?.goOn()
        }
    }
}

extension Play {
    /// The message that a producer sends for it.
    package var json: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(112)
        appendJSON(to: &bytes)
        return bytes
    }
}
