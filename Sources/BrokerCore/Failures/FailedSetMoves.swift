import NSQWire
import TallyBasics

/// The messages that are being moved to another topic. A message is finished in its channel only
/// after its copy in the other topic is synced. A crash therefore loses no message.
final class FailedSetMoves {
    /// A message in its channel.
    struct Source {
        let channel: Channel
        let segment: Segment
        let index: Int
    }

    /// Messages that are to be published to the failed set of their channel.
    private var failures: [(source: Source, message: FailedMessage)] = []
    /// Messages whose copy is synced, with the reason of those that have failed.
    private var synced: [(source: Source, reason: FailedMessage.Reason?)] = []
    /// The messages whose copy is published and that are not finished yet.
    private var pending: Set<Source.Key> = []
    /// An estimate of the size of the messages that fail in this iteration, in bytes.
    private(set) var failureBytes = 0
    /// The value of `failureBytes` at which no more messages fail in the same iteration.
    private static let maxFailureBytes = 1 << 20
    /// The monotonic time until which no message fails, because a copy could not be stored.
    private var pausedUntil = Int64.min
    /// The time for which no message fails after that. It is longer than the delay before another
    /// attempt, so the messages whose copies could not be stored are delivered in between.
    private static let pause = Duration.seconds(15).nanoseconds

    /// `true` if no more messages may fail in this iteration.
    var isFull: Bool { failureBytes >= Self.maxFailureBytes }

    /// Returns `true` if messages fail now.
    func acceptsFailures(at now: Int64) -> Bool { now >= pausedUntil }

    /// Delivers messages instead of letting them fail for some time, because a copy could not be stored.
    func pauseFailures(at now: Int64) { pausedUntil = now + Self.pause }

    /// `true` if the next loop iteration has messages to finish.
    var hasSynced: Bool { !synced.isEmpty }

    func addFailure(_ message: FailedMessage, from source: Source) {
        failures.append((source, message))
        failureBytes += message.body.count + FailedMessage.maxHeadBytes
    }

    func drainFailures() -> [(source: Source, message: FailedMessage)] {
        guard !failures.isEmpty else { return [] }
        defer {
            failures = []
            failureBytes = 0
        }
        return failures
    }

    /// Marks a message whose copy the caller then publishes.
    ///
    /// - Returns: `false` if a copy of the message is already published.
    func begin(_ source: Source) -> Bool { pending.insert(source.key).inserted }

    /// Ends the wait for the sync of a copy.
    ///
    /// - Parameters:
    ///   - reason: the reason of a message that has failed; `nil` for one that is retried.
    ///   - isSynced: `false` if the copy could not be written or synced.
    ///   - now: the monotonic time.
    func end(_ source: Source, _ reason: FailedMessage.Reason?, isSynced: Bool, at now: Int64) {
        if isSynced {
            synced.append((source, reason))
        } else {
            pending.remove(source.key)
            if reason != nil { pauseFailures(at: now) }
        }
    }

    func drainSynced() -> [(source: Source, reason: FailedMessage.Reason?)] {
        guard !synced.isEmpty else { return [] }
        defer {
            pending.subtract(synced.map(\.source.key))
            synced = []
        }
        return synced
    }

    func isPending(_ source: Source) -> Bool { pending.contains(source.key) }
}

extension FailedSetMoves.Source {
    fileprivate struct Key: Hashable {
        let channel: ObjectIdentifier
        let message: UInt64
    }

    fileprivate var key: Key {
        Key(channel: ObjectIdentifier(channel), message: segment.serial << 16 | UInt64(index))
    }
}
