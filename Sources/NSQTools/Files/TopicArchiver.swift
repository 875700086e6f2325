import Logging
import NSQClient
import TallyBasics
import UVLoop

/// Writes the messages of one topic to files. A message is finished only after its file is synced,
/// so neither a crash of the process nor a power failure loses it.
package final class TopicArchiver: Sendable {
    private let consumer: Consumer
    private let logger: Logger
    private let label: String
    private let makeFile: @Sendable () -> RotatingFile
    private let maxPending: Int
    private let executor = QueueExecutor(name: "nsq_to_file")
    private let events: AsyncStream<Event>
    private let sendEvent: AsyncStream<Event>.Continuation
    private let receiving = LockedValue(Receiving())
    /// `true` while `events` contains a tick. It prevents further ticks from accumulating while the
    /// disk is slow.
    private let hasTick = LockedValue(false)

    private struct Receiving {
        var task: Task<Void, Never>?
        var isStopped = false
    }

    private enum Event: Sendable {
        case messages(MessageBatch)
        case tick
        /// The current file is finished, and the next message goes to a new file.
        case reopen
        /// The last event: no messages follow.
        case end
    }

    /// Creates an archiver of a consumer's messages.
    ///
    /// - Parameters:
    ///   - label: the topic and the channel, for the log.
    ///   - maxInFlight: the maximum number of messages in flight. When so many are written, the
    ///     file is synced, because nsqd delivers no more until some are finished.
    package init(
        of consumer: Consumer, _ options: FileOptions, _ format: FileNameFormat, label: String,
        maxInFlight: Int, logger: Logger
    ) {
        self.consumer = consumer
        self.label = label
        self.logger = logger
        maxPending = max(1, maxInFlight)
        makeFile = { RotatingFile(options, format, label: label, logger: logger) }
        (events, sendEvent) = AsyncStream.makeStream()
    }

    /// Finishes the open file. The next message goes to a new file.
    package func reopen() { sendEvent.yield(.reopen) }

    /// Requests no further messages. ``run(syncInterval:)`` returns after all received messages are
    /// synced and finished.
    package func stop() {
        receiving.withLock { receiving in
            receiving.isStopped = true
            receiving.task?.cancel()
        }
    }

    /// Writes messages until ``stop()``, and then stops the consumer.
    ///
    /// - Parameter syncInterval: the maximum time from the receipt of a message to the sync of its
    ///   file.
    /// - Throws: `FileError` if a message cannot be written. nsqd delivers unfinished messages
    ///   again.
    package func run(syncInterval: Duration) async throws {
        startReceiving()
        let ticking = Task {
            while (try? await Task.sleep(for: syncInterval)) != nil { sendTick() }
        }
        defer {
            stop()
            ticking.cancel()
        }
        try await withTaskExecutorPreference(executor) { try await write() }
        await consumer.stop()
    }

    private func startReceiving() {
        let task = Task {
            for await batch in consumer.batches { sendEvent.yield(.messages(batch)) }
            sendEvent.yield(.end)
        }
        receiving.withLock { receiving in
            receiving.task = task
            if receiving.isStopped { task.cancel() }
        }
    }

    private func sendTick() {
        let isFirst = hasTick.withLock { hasTick in
            defer { hasTick = true }
            return !hasTick
        }
        if isFirst { sendEvent.yield(.tick) }
    }

    private func write() async throws {
        let file = makeFile()
        var pending: [MessageBatch] = []
        var count = 0
        for await event in events {
            var syncs = true
            switch event {
            case .messages(let batch):
                syncs = try appendReportingRotation(batch, to: file)
                pending.append(batch)
                count += batch.count
                if count >= maxPending { syncs = true }
                if !syncs { syncs = await consumer.statistics().isStarved }
            case .tick:
                hasTick.withLock { $0 = false }
                try file.tick(at: Self.now)
            case .reopen, .end: break
            }
            if syncs, count > 0 {
                logger.info("[\(label)] syncing \(count) records to disk")
                try file.sync()
                for batch in pending { consumer.finish(batch) }
                pending = []
                count = 0
            }
            switch event {
            case .messages, .tick: break
            case .reopen: try file.close()
            case .end: return try file.close()
            }
        }
    }

    /// - Returns: `true` if the file was rotated.
    private func appendReportingRotation(_ batch: MessageBatch, to file: RotatingFile)
        throws(FileError) -> Bool
    {
        var hasRotated = false
        for message in batch {
            let rotated = try message.withBody { body throws(FileError) in
                try file.append(body, at: Self.now)
            }
            hasRotated = hasRotated || rotated
        }
        return hasRotated
    }

    private static var now: Timestamp { .system }
}
