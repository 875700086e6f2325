import UVLoop

/// The bodies of the messages that were published to a test broker, by topic.
package final class PublishedMessages: Sendable {
    /// The maximum size of all bodies together, in bytes.
    package static let maxBytes = 256 << 20

    private struct State {
        var bodies: [String: [[UInt8]]] = [:]
        var byteCount = 0
    }

    private let state = LockedValue(State())
    private let maxBytes: Int

    /// Creates an empty list.
    ///
    /// - Parameter maxBytes: the maximum size of all bodies together, in bytes.
    package init(maxBytes: Int = PublishedMessages.maxBytes) {
        self.maxBytes = maxBytes
    }

    /// Adds a message, unless the maximum was exceeded.
    package func append(_ body: [UInt8], to topic: String) {
        state.withLock { state in
            guard state.byteCount <= maxBytes else { return }
            state.byteCount += body.count
            if state.byteCount <= maxBytes {
                state.bodies[topic, default: []].append(body)
            } else {
                state.bodies = [:]
            }
        }
    }

    /// Returns the bodies of a topic in the order in which the broker has reported them. It is the
    /// order of the publishes, except for deferred messages of the same loop iteration.
    ///
    /// - Throws: ``TooManyPublishedMessages`` if the maximum was exceeded.
    package func bodies(of topic: String) throws(TooManyPublishedMessages) -> [[UInt8]] {
        let bodies = state.withLock { $0.byteCount <= maxBytes ? $0.bodies[topic] ?? [] : nil }
        guard let bodies else { throw TooManyPublishedMessages(maxBytes: maxBytes) }
        return bodies
    }
}

/// The messages that were published to a broker exceed what it keeps for
/// ``TestBroker/published(to:count:timeout:)``.
public struct TooManyPublishedMessages: Error, CustomStringConvertible, Sendable {
    /// The maximum size of the bodies of all topics together, in bytes.
    public let maxBytes: Int

    /// A message for the test's output.
    public var description: String {
        "more than \(maxBytes) bytes were published, and a test broker keeps no more; use record(_:)"
    }
}
