import Foundation
import NSQClient
import NSQTools
import UVLoop

/// Prints the messages of channels, up to a number of messages or until a signal arrives. A message
/// is finished after it is printed.
struct MessageTail: Sendable {
    /// Returns the printed form of a message, including its newline.
    typealias Format = @Sendable (_ topic: String, _ message: Message) -> [UInt8]

    /// The consumers with their topics.
    var consumers: [(topic: String, consumer: Consumer)]
    /// The number of messages to print; `nil` means no limit.
    var limit: Int?
    var format: Format

    /// The number of messages that may still be printed.
    private let rest = LockedValue(Int.max)
    private let executor = QueueExecutor(name: "tail")

    init(
        _ consumers: [(topic: String, consumer: Consumer)], limit: Int?, format: @escaping Format
    ) {
        self.consumers = consumers
        self.limit = limit
        self.format = format
        if let limit { rest.withLock { $0 = limit } }
    }

    /// Prints messages until the limit is reached, standard output is closed, or a signal arrives.
    /// Then stops the consumers.
    func run() async throws {
        let signals = try await StopSignals.watch()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await signals.next() }
            for (topic, consumer) in consumers {
                group.addTask(executorPreference: executor) {
                    await printMessages(of: consumer, topic)
                }
            }
            await group.next()
            group.cancelAll()
        }
        await withTaskGroup(of: Void.self) { group in
            for (_, consumer) in consumers { group.addTask { await consumer.stop() } }
        }
        await signals.stop()
    }

    private func printMessages(of consumer: Consumer, _ topic: String) async {
        for await batch in consumer.batches {
            let count = reserve(batch.count)
            var bytes: [UInt8] = []
            for message in batch.prefix(count) { bytes += format(topic, message) }
            let isWritten = StandardOutput.write(bytes)
            for (index, message) in batch.enumerated() {
                if isWritten, index < count {
                    consumer.finish(message)
                } else {
                    consumer.requeue(message)
                }
            }
            if !isWritten || rest.withLock({ $0 == 0 }) { return }
        }
    }

    /// Reserves up to `count` messages for printing, and returns how many may be printed.
    private func reserve(_ count: Int) -> Int {
        rest.withLock { rest in
            let granted = min(rest, count)
            if limit != nil { rest -= granted }
            return granted
        }
    }
}

extension MessageTail {
    /// Returns a random name of an ephemeral channel, which nsqd deletes when the consumer
    /// disconnects.
    static func temporaryChannel() -> String {
        let digits = String(Int.random(in: 0..<999_999))
        return "tail" + String(repeating: "0", count: 6 - digits.count) + digits + "#ephemeral"
    }
}
