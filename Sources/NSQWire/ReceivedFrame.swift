/// A frame that a client has received. The data of the frame is a view into the receive buffer.
@usableFromInline
package struct ReceivedFrame {
    /// The frame's type.
    @usableFromInline package let kind: Frame.Kind
    /// The bytes after the frame type. The bytes are valid as long as the receive buffer.
    @usableFromInline package let data: Bytes

    /// Creates a frame without checking its data.
    @inlinable
    package init(kind: Frame.Kind, data: Bytes) {
        self.kind = kind
        self.data = data
    }
}

/// The fields of a message frame. The body is a view into the receive buffer.
@usableFromInline
package struct ReceivedMessage {
    /// The time of the publish, in nanoseconds since 1970.
    @usableFromInline package let timestampNanoseconds: Int64
    /// The number of delivery attempts, including this one.
    @usableFromInline package let attempts: UInt16
    /// The message's ID.
    @usableFromInline package let id: MessageID
    /// The message's body.
    @usableFromInline package let body: Bytes

    /// Parses the data of a message frame.
    ///
    /// - Returns: `nil` if the data is shorter than a message's header.
    @inlinable
    package init?(data: Bytes) {
        guard data.count >= MessageFrame.bodyOffset - 8, let base = data.baseAddress else {
            return nil
        }
        timestampNanoseconds = data.bigEndian(at: 0, as: Int64.self)
        attempts = data.bigEndian(at: 8, as: UInt16.self)
        id = MessageID(readingFrom: base + 10)
        body = data.view(26..<data.count)
    }
}

/// An invalid frame, after which the client must close the connection.
@usableFromInline
package enum FrameError: Error, Equatable, Sendable {
    case badSize(Int32)
    case badKind(Int32)
    case shortMessage(bytes: Int)
}
