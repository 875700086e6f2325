import NSQWire
import TallyBasics

/// Messages of one topic that another broker receives, all for the same channels.
package struct HandOverBatch {
    /// One message.
    package struct Message {
        package let body: [UInt8]
        /// The remaining deferral; zero for a message that can be delivered now.
        package let delay: Duration
    }

    package let topic: TopicName
    /// The channels that have not finished the messages, sorted by name; `nil` if the topic has not
    /// dispatched the messages, so that they are for all its channels.
    package let channels: [ChannelName]?
    package fileprivate(set) var messages: [Message] = []
    /// The size of all bodies in bytes.
    package fileprivate(set) var byteCount = 0

    let segment: Segment
    /// The indexes of the messages in `segment`, ascending.
    fileprivate(set) var indexes: [Int] = []

    init(_ topic: TopicName, _ channels: [ChannelName]?, of segment: Segment) {
        self.topic = topic
        self.channels = channels
        self.segment = segment
    }

    /// Adds a message of the segment, which must be in memory.
    ///
    /// - Returns: `false` if the batch is full.
    mutating func append(_ index: Int, delay: Duration, within limits: HandOverLimits) -> Bool {
        let frame = segment.frame(at: index)
        let body = frame.view(MessageFrame.bodyOffset..<frame.count)
        guard messages.count < limits.messages,
            messages.isEmpty || byteCount + body.count <= limits.bytes,
            limits.hasDelays || messages.isEmpty || (delay == .zero && messages[0].delay == .zero)
        else { return false }
        messages.append(Message(body: Array(body), delay: delay))
        indexes.append(index)
        byteCount += body.count
        return true
    }
}

/// The limits of one batch.
package struct HandOverLimits: Sendable {
    /// The maximum number of messages.
    package var messages = 1_000
    /// The maximum size of the bodies in bytes; one larger message is a batch of its own.
    package var bytes = 1 << 20
    /// `true` if messages with different delays can be in one batch; `false` makes each deferred message
    /// a batch of its own.
    package var hasDelays = true
    /// The maximum number of messages to examine for one batch.
    package var steps = 20_000

    package init() {}
}

/// The position in a topic at which the search for the next batch continues.
package struct HandOverPosition {
    var serial: UInt64 = 0
    var index = 0
    /// The last searched channel of the segment, in the order of the names; `nil` if none was
    /// searched.
    var lastChannel: ChannelName?

    /// The beginning of a topic.
    package init() {}

    /// Advances past a segment.
    mutating func skip(_ segment: Segment) {
        serial = segment.serial + 1
        index = 0
        lastChannel = nil
    }
}

/// The result of a search for the next batch.
package enum HandOverSearch {
    case batch(HandOverBatch)
    /// The search has used up its steps, and continues at the position.
    case unfinished
    /// No message behind the position can be moved now.
    case end
    /// The messages cannot be read from the message log now.
    case unreadable
}
