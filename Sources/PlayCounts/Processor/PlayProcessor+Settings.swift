import TallyBasics

extension PlayProcessor {
    /// The settings of a processor.
    package struct Settings: Sendable {
        package var scheduler = CallScheduler.Settings()
        /// A play that leaves its video below this count is published immediately.
        package var realtimeBelow = 100
        /// The limits of a message that is parsed.
        package var limits = PlayParsingLimits()
        /// The maximum number of delivery attempts; 0 means no limit. A message with more attempts
        /// is rejected without being parsed, because it may have crashed the processor each time.
        package var maxAttempts = 100
        package var deduplication = DeduplicationWindow.Settings()
        /// The maximum time until the store records which counts a client has accepted. If a batch
        /// is committed earlier, its commit also records them.
        package var acceptanceRecordDelay = Duration.milliseconds(100)
        /// The first delay after a failed call, before jitter.
        package var minRetryDelay = Duration.milliseconds(100)
        /// The maximum delay after a failed call.
        package var maxRetryDelay = Duration.seconds(10)
        /// The seed of the jitter of the retry delays.
        package var jitterSeed = UInt64.random(in: .min ... .max)
        /// The time that a batch without an immediate play waits for more messages. It must be much
        /// shorter than nsqd's message timeout.
        package var batchDelay = Duration.milliseconds(50)
        /// The first delay after a failed commit, before jitter.
        package var minStoreRetryDelay = Duration.milliseconds(100)
        /// The maximum delay after a failed commit.
        package var maxStoreRetryDelay = Duration.seconds(5)
        /// The time without a commit after which an empty commit tests whether the store works.
        package var storeProbeInterval = Duration.seconds(2)
        /// The maximum duration of a stop. After half of this time, the connections to nsqd are
        /// closed; after all of it, no more calls are made. The next start publishes the counts
        /// that are left.
        package var stopTimeout = Duration.seconds(3)

        package init() {}
    }

    /// Callbacks on the processor's loop.
    package struct Observer {
        /// A play was counted.
        package var counted: (Play, MonotonicInstant) -> Void = { _, _ in }
        /// A play was recognized as a duplicate and not counted.
        package var duplicate: (Play, MonotonicInstant) -> Void = { _, _ in }
        /// A message was rejected.
        package var rejected: (Rejection) -> Void = { _ in }
        /// The commit of the received plays was started.
        package var commitStarted: () -> Void = {}
        /// A batch was committed.
        package var committed: ([CountChange], MonotonicInstant) -> Void = { _, _ in }
        /// A client accepted a call.
        package var accepted: (_ client: String, Call, MonotonicInstant) -> Void = { _, _, _ in }
        /// The store has failed, or works again (`nil`).
        package var storeChanged: (StoreError?) -> Void = { _ in }
        /// Messages were finished.
        package var finished: (_ messages: Int, MonotonicInstant) -> Void = { _, _ in }

        package init() {}
    }

    /// The numbers of messages by outcome.
    package struct Statistics: Sendable, CustomStringConvertible {
        /// The number of counted plays.
        package var counted = 0
        /// The number of plays that were not counted, because they had been counted before.
        package var duplicates = 0
        /// The number of rejected messages by reason.
        package var rejected: [Rejection: Int] = [:]

        package var description: String {
            let reasons = rejected.sorted { $0.key.rawValue < $1.key.rawValue }
                .map { "\($0.value) \($0.key.rawValue)" }
            return "counted \(TallyBasics.counted(counted, "play")), "
                + TallyBasics.counted(duplicates, "duplicate")
                + ", \(rejected.values.reduce(0, +)) rejected"
                + (reasons.isEmpty ? "" : " (\(reasons.joined(separator: ", ")))")
        }
    }
}
