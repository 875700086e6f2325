import Foundation
import Logging
import TestKit

/// A log handler that stores all lines.
// SAFETY: the condition guards all state.
final class RecordingLog: LogHandler, @unchecked Sendable {
    private let condition = NSCondition()
    private var said: [String] = []

    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func lines(with text: String) -> [String] {
        condition.withLock { said.filter { $0.contains(text) } }
    }

    /// Waits until the line is logged. Returns `false` if it is not logged in time.
    func waits(for line: String) -> Bool { waits { $0 == line } }

    /// Waits until a line with this text is logged. Returns `false` if none is logged in time.
    func waits(forLineWith text: String) -> Bool { waits { $0.contains(text) } }

    private func waits(_ isExpected: (String) -> Bool) -> Bool {
        let deadline = Date(timeIntervalSinceNow: longestWait)
        return condition.withLock {
            while !said.contains(where: isExpected) {
                guard condition.wait(until: deadline) else { return false }
            }
            return true
        }
    }

    func log(event: LogEvent) {
        condition.withLock {
            said.append("\(event.level) \(event.message)")
            condition.broadcast()
        }
    }
}
