import Foundation
import NSQClient
import NSQTools
import UVLoop

/// Publishes the parts of standard input to one or several nsqds. Each part goes to each nsqd, and empty
/// parts are skipped.
struct LinePublisher: Sendable {
    var producers: [Producer]
    var topic: String
    /// The byte between two parts.
    var delimiter = UInt8(ascii: "\n")
    /// The maximum number of messages per second; `nil` for no limit.
    var rate: Int?

    private let executor = QueueExecutor(name: "input")

    init(_ producers: [Producer], topic: String) {
        self.producers = producers
        self.topic = topic
    }

    /// The size in bytes of one read, and with that of most batches.
    private static let readBytes = 64 << 10
    /// The maximum size of a part in bytes: nsqd refuses larger messages by default.
    private static let maxPartBytes = 64 << 20

    /// Publishes until standard input ends or a signal arrives. Then it stops the producers.
    ///
    /// - Throws: the error of a message that cannot be published.
    func run() async throws {
        let signals = try await StopSignals.watch()
        let isEnd = try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                _ = await signals.next()
                return false
            }
            group.addTask(executorPreference: executor) {
                try await publishInput()
                return true
            }
            let isEnd = try await group.next()!
            group.cancelAll()
            // The task that reads cannot be interrupted; the end of the process ends it.
            if !isEnd { await stop(); StandardError.flush(); _exit(0) }
            return isEnd
        }
        if isEnd { await stop() }
        await signals.stop()
    }

    private func stop() async {
        for producer in producers { await producer.stop() }
    }

    private func publishInput() async throws {
        var throttle = rate.map { Throttle(rate: $0, now: .now) }
        var rest: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: Self.readBytes)
        while true {
            let count = read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw ToolError("cannot read standard input: \(String(cString: strerror(errno)))")
            }
            guard count > 0 else { break }
            rest += chunk[..<count]
            let parts = Self.removeParts(from: &rest, delimiter)
            try await publish(parts, &throttle)
            guard rest.count <= Self.maxPartBytes else {
                throw ToolError("a message is longer than \(Self.maxPartBytes) bytes")
            }
        }
        try await publish(rest.isEmpty ? [] : [rest[...]], &throttle)
    }

    /// Removes the complete parts, and returns those that are not empty.
    static func removeParts(from bytes: inout [UInt8], _ delimiter: UInt8) -> [ArraySlice<UInt8>] {
        guard let end = bytes.lastIndex(of: delimiter) else { return [] }
        let parts = bytes[..<end].split(separator: delimiter)
        bytes.removeFirst(end + 1)
        return parts
    }

    private func publish(
        _ parts: [ArraySlice<UInt8>], _ throttle: inout Throttle?
    ) async throws {
        guard throttle != nil else { return try await publish(parts) }
        for part in parts {
            if let pause = throttle!.pause(now: .now) { try await Task.sleep(for: pause) }
            try await publish([part])
        }
    }

    private func publish(_ parts: [ArraySlice<UInt8>]) async throws {
        guard !parts.isEmpty else { return }
        let batch = PublishBatch(parts)
        for producer in producers {
            if parts.count == 1 {
                try await producer.publish(parts[0], to: topic)
            } else {
                try await producer.publish(batch, to: topic)
            }
        }
    }
}

/// Limits the number of messages per second. Up to one second of unused messages is saved, as in to_nsq.
struct Throttle {
    private let rate: Double
    private var balance = 1.0
    private var updatedAt: ContinuousClock.Instant

    /// - Parameter rate: the maximum number of messages per second, at least 1.
    init(rate: Int, now: ContinuousClock.Instant) {
        self.rate = Double(rate)
        updatedAt = now
    }

    /// Reserves one message.
    ///
    /// - Returns: the time to wait before it is published; `nil` for none.
    mutating func pause(now: ContinuousClock.Instant) -> Duration? {
        balance = min(rate, balance + (now - updatedAt) / .seconds(1) * rate)
        updatedAt = now
        balance -= 1
        return balance < 0 ? .seconds(-balance / rate) : nil
    }
}
