import NSQClient
import NSQWire
import TallyBasics
import UVLoop

/// Publishes plays to nsqd in batches, at full speed or at a given rate.
///
/// It runs on a loop's thread. At most `maxBatchesInFlight` batches are unacknowledged at a time,
/// which bounds the memory for any number of plays.
///
/// After a lost connection, the failed batches are published again, up to `maxRetries` times. A
/// batch that may have reached nsqd is published again only if each of its plays has an ID, by
/// which the processor recognizes duplicates. If the first connection attempt fails, publishing
/// fails without retries.
package final class PlayProducer {
    /// The settings of a producer.
    package struct Settings: Sendable {
        /// The number of plays per second; 0 means no limit.
        package var rate = 0.0
        /// The interval at which plays are published if there is a rate. All plays of an interval
        /// are published as one batch, which costs the broker and the processor much less than a
        /// batch for each play.
        package var rateInterval = Duration.milliseconds(10)
        /// The maximum number of plays in one MPUB.
        package var playsPerBatch = 200
        /// When a batch reaches this size in bytes, no more plays are added. nsqd accepts bodies of
        /// 5 MiB and messages of 1 MiB by default.
        package var bytesPerBatch = 1 << 20
        /// Refuses messages without a `play_id`, because each copy of such a play would be counted.
        package var requiresPlayIDs = false
        /// The maximum number of MPUBs whose response is pending.
        package var maxBatchesInFlight = 8
        /// The maximum number of consecutive failures. With the default delays, 12 failures take
        /// about 17 s.
        package var maxRetries = 12
        /// The first delay before publishing again.
        package var minRetryDelay = Duration.milliseconds(100)
        /// The maximum delay before publishing again.
        package var maxRetryDelay = Duration.seconds(2)

        package init() {}
    }

    /// Returns the body of the next message, or `nil` if there is none at present; see
    /// ``hasSourceEnded``.
    package typealias Source = () throws -> [UInt8]?

    private let loop: Loop
    private let publisher: any BatchPublisher
    private let topic: TopicName
    private let settings: Settings
    private let source: Source
    private let rateTimer: Timer
    private let retryTimer: Timer

    private var startedAt: MonotonicInstant?
    private var playsRead = 0
    private var batchesInFlight = 0
    /// The batches to publish again, oldest first.
    private var failedBatches: [Batch] = []
    private var backoff: Backoff
    private var wasConnected = false
    private var isAtEnd = false
    /// `true` while the source has no message, but may have one later.
    private var isPaused = false
    private var ignoresRate = false
    private var failure: (any Error)?
    private var completion: ((Result<Int, any Error>) -> Void)?

    /// The number of plays that nsqd has acknowledged.
    package private(set) var published = 0 {
        didSet { onProgress(published) }
    }
    /// Called with the value of `published` when it changes.
    package var onProgress: (Int) -> Void = { _ in }

    /// Called when the source has returned `nil`, and returns whether this was its end. If it
    /// returns `false`, the source may have messages later; its owner then calls ``readAgain()``.
    /// Until then, the producer publishes the messages that it has already read.
    package var hasSourceEnded: () -> Bool = { true }

    /// The messages of one MPUB, and their encoded form.
    private struct Batch {
        var encoded = PublishBatch()
        var bodies: [[UInt8]] = []

        mutating func append(_ body: [UInt8]) {
            encoded.append(body)
            bodies.append(body)
        }

        /// `true` if each play has an ID, by which a processor recognizes it when it is published
        /// again.
        var hasPlayIDs: Bool { bodies.allSatisfy(Self.hasPlayID) }

        static func hasPlayID(_ body: [UInt8]) -> Bool {
            (try? Play(parsing: body.span.bytes))?.playID != nil
        }
    }

    /// The error of a message without a `play_id`, if ``Settings/requiresPlayIDs`` is `true`.
    package struct MissingPlayID: Error, Equatable, CustomStringConvertible {
        /// The number of the message; the first one has number 1.
        let number: Int

        package var description: String {
            "play \(number) has no play_id, so each of its copies would count"
        }
    }

    /// Creates a producer. ``start(_:)`` begins to publish.
    ///
    /// - Parameters:
    ///   - publisher: publishes the batches.
    ///   - source: returns the messages to publish.
    package init(
        on loop: Loop, publisher: any BatchPublisher, topic: TopicName,
        settings: Settings = Settings(), source: @escaping Source
    ) {
        self.loop = loop
        self.publisher = publisher
        self.topic = topic
        self.settings = settings
        self.source = source
        backoff = Backoff(
            from: settings.minRetryDelay, upTo: settings.maxRetryDelay, jitterSeed: nil)
        rateTimer = Timer(on: loop)
        retryTimer = Timer(on: loop)
    }

    /// Publishes all messages of the source.
    ///
    /// - Parameter completion: called once, with the number of published plays or the first error.
    ///   Plays that were published before an error stay published.
    package func start(_ completion: @escaping (Result<Int, any Error>) -> Void) {
        self.completion = completion
        startedAt = loop.instant
        publishMore()
    }

    /// Reads the source again, after it had no message.
    package func readAgain() {
        isPaused = false
        publishMore()
    }

    /// Publishes the rest of the source without the rate limit. The owner must have stopped the
    /// source, so that it ends soon.
    package func finish() {
        ignoresRate = true
        rateTimer.stop()
        publishMore()
    }

    private func publishMore() {
        while failure == nil, failedBatches.isEmpty, !isAtEnd, !isPaused,
            batchesInFlight < settings.maxBatchesInFlight
        {
            let allowed = min(settings.playsPerBatch, allowance)
            guard allowed > 0 else { return waitForAllowance() }
            let batch = nextBatch(of: allowed)
            playsRead += batch.encoded.count
            if batch.encoded.count > 0 { publish(batch) }
        }
        completeIfDone()
    }

    private func nextBatch(of count: Int) -> Batch {
        var batch = Batch()
        do {
            while batch.encoded.count < count, batch.encoded.byteCount < settings.bytesPerBatch {
                guard let body = try source() else {
                    isAtEnd = hasSourceEnded()
                    isPaused = !isAtEnd
                    break
                }
                if settings.requiresPlayIDs, !Batch.hasPlayID(body) {
                    throw MissingPlayID(number: playsRead + batch.encoded.count + 1)
                }
                batch.append(body)
            }
        } catch {
            failure = error
        }
        return batch
    }

    private func publish(_ batch: Batch) {
        batchesInFlight += 1
        publisher.publish(batch.encoded, to: topic) { [weak self] error in
            guard let self else { return }
            batchesInFlight -= 1
            if let error {
                publishFailed(batch, error)
            } else {
                backoff.reset()
                wasConnected = true
                published += batch.encoded.count
            }
            publishMore()
        }
    }

    private func completeIfDone() {
        guard batchesInFlight == 0, failedBatches.isEmpty || failure != nil,
            isAtEnd || failure != nil, let completion
        else { return }
        self.completion = nil
        rateTimer.close()
        retryTimer.close()
        completion(failure.map { .failure($0) } ?? .success(published))
    }

    // MARK: Failures

    private func publishFailed(_ batch: Batch, _ error: NSQError) {
        guard failure == nil else { return }
        // All batches in flight fail together when the connection is lost. So only the first of
        // them counts as a failure and increases the delay.
        let isFirst = failedBatches.isEmpty
        guard canRetry(batch, after: error), !isFirst || backoff.failures < settings.maxRetries
        else {
            return failure = error
        }
        failedBatches.append(batch)
        guard isFirst else { return }
        retryTimer.start(after: backoff.nextDelay()) { [weak self] in self?.publishAgain() }
    }

    private func canRetry(_ batch: Batch, after error: NSQError) -> Bool {
        switch error.code {
        case .connectionLost:
            wasConnected = true
            return batch.hasPlayIDs
        case .unreachable: return wasConnected
        default: return false
        }
    }

    private func publishAgain() {
        let batches = failedBatches
        failedBatches = []
        for batch in batches { publish(batch) }
        publishMore()
    }

    // MARK: Rate

    /// The number of further plays that may be read now. The rate permits one play at the start and, at
    /// the end of each interval, the plays of that interval; plays that were read are subtracted.
    private var allowance: Int {
        guard settings.rate > 0, !ignoresRate else { return .max }
        let intervals = elapsedNanoseconds / settings.rateInterval.nanoseconds
        let seconds = Double(intervals * settings.rateInterval.nanoseconds) / 1e9
        return Int(seconds * settings.rate) + 1 - playsRead
    }

    private var elapsedNanoseconds: Int64 {
        startedAt.map { (loop.instant - $0).nanoseconds } ?? 0
    }

    private func waitForAllowance() {
        let interval = settings.rateInterval.nanoseconds
        let delay = max(interval - elapsedNanoseconds % interval, Int64(1e9 / settings.rate))
        rateTimer.start(after: .nanoseconds(delay)) { [weak self] in self?.publishMore() }
    }
}
