import NSQWire

/// The messages that are being moved to another topic. A message is finished in its channel only
/// after its copy in the other topic is as durable as an acknowledged publish. A crash therefore
/// loses no message.
final class FailedSetMoves {
    /// A message in its channel.
    struct Source {
        let channel: Channel
        let segment: Segment
        let index: Int
    }

    /// Messages that are to be published to the failed set of their channel.
    private var failures: [(source: Source, message: FailedMessage)] = []
    /// Messages whose copy is durable.
    private var durable: [Source] = []
    /// The messages whose copy is published and that are not finished yet.
    private var pending: Set<Source.Key> = []
    /// An estimate of the size of `failures`, in bytes.
    private var failureBytes = 0
    /// The value of `failureBytes` at which no more messages fail in the same iteration.
    private static let maxFailureBytes = 1 << 20

    /// `true` if no more messages may fail in this iteration.
    var isFull: Bool { failureBytes >= Self.maxFailureBytes }

    /// `true` if the next loop iteration has messages to finish.
    var hasDurable: Bool { !durable.isEmpty }

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

    /// Ends the wait for the durability of a copy.
    ///
    /// - Parameter isDurable: `false` if the copy could not be written.
    func end(_ source: Source, isDurable: Bool) {
        if isDurable {
            durable.append(source)
        } else {
            pending.remove(source.key)
        }
    }

    func drainDurable() -> [Source] {
        guard !durable.isEmpty else { return [] }
        defer {
            pending.subtract(durable.map(\.key))
            durable = []
        }
        return durable
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
