import NSQClient
import NSQWire
import UVLoop

/// Publishes plays to an nsqd, in batches: as fast as it takes them, or at a rate.
///
/// Lives on a loop's thread. A window of batches is under way; the next is made when one has been
/// answered, so that any number of plays takes bounded memory.
package final class PlayProducer {
    package struct Settings: Sendable {
        /// Plays per second; 0 is as fast as they are taken.
        package var rate = 0
        package var playsPerBatch = 200
        /// A batch that has reached this takes no more; nsqd takes 5 MiB, and a play of 1 MiB.
        package var bytesPerBatch = 1 << 20
        package var batchesUnderWay = 8

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

    private var startedAt: Instant?
    private var taken = 0
    private var underWay = 0
    private var isAtEnd = false
    private var failure: (any Error)?
    private var whenDone: ((Result<Int, any Error>) -> Void)?

    /// How many plays nsqd has acknowledged.
    package private(set) var published = 0 {
        didSet { onProgress(published) }
    }
    package var onProgress: (Int) -> Void = { _ in }

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
        while failure == nil, !isAtEnd, underWay < settings.batchesUnderWay {
            let allowed = min(settings.playsPerBatch, allowance)
            guard allowed > 0 else { return waitForAllowance() }
            publish(nextBatch(of: allowed))
        }
        finish()
    }

    private func nextBatch(of count: Int) -> PublishBatch {
        var batch = PublishBatch()
        do {
            while batch.count < count, batch.byteCount < settings.bytesPerBatch {
                guard let body = try source() else {
                    isAtEnd = true
                    break
                }
                batch.append(body)
            }
        } catch {
            failure = error
        }
        return batch
    }

    private func publish(_ batch: PublishBatch) {
        guard batch.count > 0 else { return }
        taken += batch.count
        underWay += 1
        engine.publish(batch, to: topic) { [weak self] error in
            guard let self else { return }
            underWay -= 1
            if let error {
                failure = failure ?? error
            } else {
                published += batch.count
            }
            goOn()
        }
    }

    private func finish() {
        guard underWay == 0, isAtEnd || failure != nil, let done = whenDone else { return }
        whenDone = nil
        pace.close()
        done(failure.map { .failure($0) } ?? .success(published))
    }

    // MARK: Rate

    /// How many plays may be sent by now that have not been.
    private var allowance: Int {
        guard settings.rate > 0, let startedAt else { return .max }
        let passed = Double((loop.instant - startedAt).nanoseconds) / 1e9
        return Int(passed * Double(settings.rate)) + 1 - taken
    }

    private func waitForAllowance() {
        pace.start(after: .nanoseconds(1_000_000_000 / settings.rate)) { [weak self] in
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
