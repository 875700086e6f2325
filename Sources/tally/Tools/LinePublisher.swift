import Foundation
import NSQClient
import NSQTools
import UVLoop

/// Splits standard input into parts, and publishes each part to one or several nsqds. Each nsqd
/// receives every part. Empty parts are skipped.
struct LinePublisher: Sendable {
    var producers: [Producer]
    var topic: String
    /// The byte between two parts.
    var delimiter = UInt8(ascii: "\n")
    /// The maximum number of messages per second; `nil` means no limit.
    var rate: Int?

    private let executor = QueueExecutor(name: "input")

    init(_ producers: [Producer], topic: String) {
        self.producers = producers
        self.topic = topic
    }

    /// The maximum size of one read in bytes. The parts of one read are published as one batch.
    private static let readBytes = 64 << 10
    /// The maximum size of a part in bytes. It bounds the memory, and is far larger than the
    /// messages that nsqd accepts by default.
    private static let maxPartBytes = 64 << 20

    /// Publishes until standard input ends or a signal arrives, and then stops the producers.
    ///
    /// - Throws: an error if standard input cannot be read, or if a message cannot be published.
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
            // The blocking read cannot be interrupted, so the process ends without waiting for its
            // task.
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

    /// Removes the complete parts from `bytes`, and returns the parts that are not empty.
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

/// Limits the number of messages per second. As in to_nsq, an unused allowance is saved, up to the
/// messages of one second.
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
    /// - Returns: the time to wait before the message is published; `nil` if it can be published
    ///   now.
    mutating func pause(now: ContinuousClock.Instant) -> Duration? {
        balance = min(rate, balance + (now - updatedAt) / .seconds(1) * rate)
        updatedAt = now
        balance -= 1
        return balance < 0 ? .seconds(-balance / rate) : nil
    }
}
