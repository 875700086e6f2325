import Foundation
import UVLoop

/// The latest changes that users made through nsqadmin's API, in memory.
package final class ActionLog: Sendable {
    /// A change that was made or attempted.
    package struct Entry: Sendable {
        /// The number of the entry, from 1.
        package let number: Int
        /// The time in milliseconds since 1970.
        package let time: Int
        /// The action, such as `pause`.
        package let action: String
        /// The changed object, such as `topic plays`.
        package let target: String
        /// The name of the user; empty if it is unknown.
        package let user: String
        /// The reason why the change failed, completely or at some servers; `nil` if it succeeded
        /// everywhere.
        package let failure: String?
    }

    /// The maximum number of entries in the log.
    private static let maxEntries = 100
    /// The maximum number of characters of an error in the log.
    private static let maxFailureCharacters = 500

    private let shared = LockedValue(Shared())

    private struct Shared {
        var entries: [Entry] = []
        var count = 0
        var listener: (@Sendable () -> Void)?
    }

    /// Creates an empty log.
    init() {}

    /// The entries, the latest first.
    package var entries: [Entry] { shared.withLock { $0.entries.reversed() } }

    /// Sets a closure that runs on any thread after each entry.
    package func setListener(_ listener: @escaping @Sendable () -> Void) {
        shared.withLock { $0.listener = listener }
    }

    func append(_ action: String, _ target: String, by user: String, failure: String?) {
        let time = Int(Date.now.timeIntervalSince1970 * 1_000)
        let failure = failure.map { String($0.prefix(Self.maxFailureCharacters)) }
        let listener = shared.withLock { shared in
            shared.count += 1
            shared.entries.append(
                Entry(
                    number: shared.count, time: time, action: action, target: target,
                    user: String(user.prefix(100)), failure: failure))
            if shared.entries.count > Self.maxEntries { shared.entries.removeFirst() }
            return shared.listener
        }
        listener?()
    }
}
