import CMemory
import NSQWire

/// The conditions that select unfinished messages of a topic or channel.
package struct MessageFilter: Sendable, Equatable {
    /// The state of an unfinished message in its queue.
    package enum State: String, CaseIterable, Sendable {
        /// The message can be delivered now.
        case ready
        case inFlight = "in_flight"
        case deferred
    }

    /// The states of which a message has one.
    package var states = Set(State.allCases)
    /// The bytes that the body contains; empty for any body.
    package var text: [UInt8] = []
    /// The smallest number of deliveries.
    package var minAttempts = 0
    /// The time before which the message was published, in nanoseconds since 1970; `nil` for any
    /// time.
    package var publishedBefore: Int64?

    /// The largest size of ``text``, in bytes.
    package static let maxTextBytes = 1024

    /// Selects all messages.
    package init() {}

    /// `true` if the filter must read the messages, and not only their state in the channel.
    var readsMessages: Bool { !text.isEmpty || publishedBefore != nil }

    /// Returns `true` if a message of this state and number of deliveries can be selected.
    func allows(_ state: State, attempts: UInt16) -> Bool {
        attempts >= minAttempts && states.contains(state)
    }

    /// Returns `true` if the message was published early enough and its body contains the text.
    func allows(_ frame: Bytes) -> Bool {
        if let publishedBefore,
            frame.bigEndian(at: MessageFrame.timestampOffset, as: Int64.self) >= publishedBefore
        {
            return false
        }
        guard !text.isEmpty else { return true }
        let body = frame.view(MessageFrame.bodyOffset..<frame.count)
        guard let start = body.baseAddress, body.count >= text.count else { return false }
        return memory_contains(start, body.count, text, text.count) != 0
    }
}
