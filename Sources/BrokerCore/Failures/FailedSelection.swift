import NSQWire

/// The failed messages of a channel that a request reads, retries or discards.
package struct FailedSelection: Sendable {
    /// The ID of the message if the request selects a single one; `nil` if it selects all messages.
    package var only: MessageID?
    /// Only messages with a higher ID are selected; `nil` begins with the oldest message.
    package var after: MessageID?
    /// The maximum number of messages.
    package var limit: Int

    /// Creates a selection of the oldest messages.
    package init(only: MessageID? = nil, after: MessageID? = nil, limit: Int) {
        self.only = only
        self.after = after
        self.limit = limit
    }

    /// Returns `true` if the segment with this serial number can contain selected messages.
    func canInclude(segment serial: UInt64) -> Bool {
        if let only = only?.number { return only >> 16 == serial }
        return serial >= (after?.number ?? 0) >> 16
    }

    /// Returns `true` if the message with this ID, as a number, is selected.
    func includes(_ number: UInt64) -> Bool {
        if let only = only?.number { return only == number }
        return after?.number.map { $0 < number } ?? true
    }
}
