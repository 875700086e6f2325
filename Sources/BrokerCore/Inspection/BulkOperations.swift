import NSQWire
import TallyBasics

/// The running bulk operations of a broker, and the latest ended ones.
final class BulkOperations {
    // INVARIANT: the operations are in the order of their numbers.
    private(set) var all: [BulkOperation] = []
    private var lastNumber = 0
    /// `true` if the timer of the next portions is scheduled.
    private var isScheduled = false

    /// The maximum number of operations that have not ended.
    static let maxRunning = 8
    /// The maximum number of operations in ``all``.
    private static let maxCount = 64
    /// The pause between two portions of an operation, in which the loop serves clients.
    private static let pause = Duration.milliseconds(2)

    subscript(number: Int) -> BulkOperation? { all.first { $0.number == number } }

    private var runningCount: Int { all.count { $0.state == .running } }

    /// Adds an operation.
    ///
    /// - Returns: `nil` if too many operations are running.
    func start(
        _ action: BulkOperation.Action, _ filter: MessageFilter, of channel: Channel,
        at now: Timestamp
    ) -> BulkOperation? {
        guard runningCount < Self.maxRunning else { return nil }
        lastNumber += 1
        let operation = BulkOperation(lastNumber, action, filter, of: channel, at: now)
        all.append(operation)
        if all.count > Self.maxCount, let ended = all.firstIndex(where: { $0.state != .running }) {
            all.remove(at: ended)
        }
        return operation
    }

    /// Runs a portion of each operation that can continue.
    func runPortions(of broker: Broker) {
        isScheduled = false
        for operation in all where operation.canContinue { operation.runPortion(of: broker) }
    }

    /// Schedules the next portions.
    ///
    /// - Returns: the time of the portions on the monotonic clock, in nanoseconds; `nil` if it is
    ///   already scheduled, or no operation can continue.
    func schedule(at now: Int64) -> Int64? {
        guard !isScheduled, all.contains(where: \.canContinue) else { return nil }
        isScheduled = true
        return now + Self.pause.nanoseconds
    }
}

/// Changes of all messages that a filter selects.
extension Broker {
    /// Starts an operation, and runs its first portion. The other portions follow by timers.
    package func startBulkOperation(
        _ action: BulkOperation.Action, _ filter: MessageFilter, of topic: TopicName,
        _ channel: ChannelName, at now: Timestamp
    ) throws(InspectionError) -> BulkOperation {
        context.setTime(now)
        guard case .channel(let channel) = try queue(topic, channel) else { throw .channelNotFound }
        if case .change(.move(let name)) = action { _ = try destination(name, of: channel) }
        guard let operation = bulkOperations.start(action, filter, of: channel, at: now) else {
            throw .tooManyOperations
        }
        operation.runPortion(of: self)
        return operation
    }

    /// The running operations and the latest ended ones, in the order of their starts.
    package var allBulkOperations: [BulkOperation] { bulkOperations.all }

    package func bulkOperation(_ number: Int) throws(InspectionError) -> BulkOperation {
        guard let operation = bulkOperations[number] else { throw .operationNotFound }
        return operation
    }

    /// Cancels an operation. Does nothing if the operation has ended.
    package func cancelBulkOperation(
        _ number: Int, at now: Timestamp
    ) throws(InspectionError) -> BulkOperation {
        context.setTime(now)
        let operation = try bulkOperation(number)
        operation.cancel()
        return operation
    }

    /// Schedules the next portions of the bulk operations.
    func scheduleBulkOperations() {
        guard let deadline = bulkOperations.schedule(at: context.now.monotonic) else { return }
        context.schedule(.bulkOperations, deadline: deadline)
    }
}
