import NSQWire

/// A message that a consumer has received and must finish or requeue.
///
/// A message retains the receive buffer of 256 KiB or more that contains it. Copy the body to keep
/// it for longer.
public struct Message: Sendable {
    let buffer: ReceiveBuffer
    let offset: Int
    let place: MessagePlace

    /// The ID that nsqd has assigned: 16 hex digits, the same in every delivery and every channel.
    public var id: String { wireID.text }

    /// The number of deliveries, including this one.
    public var attempts: Int { Int(received.attempts) }

    /// The time at which nsqd received the message, in nanoseconds since 1970.
    public var timestampNanoseconds: Int64 { received.timestampNanoseconds }

    /// A copy of the body.
    public var body: [UInt8] { withBody { Array($0) } }

    /// Calls `read` with the body, without a copy. The bytes are valid during the call only.
    public func withBody<Result, Failure: Error>(
        _ read: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // The message may have the only reference to the buffer, which must outlive the use of the
        // body.
        defer { withExtendedLifetime(buffer) {} }
        return try read(received.body)
    }

    var wireID: MessageID {
        defer { withExtendedLifetime(buffer) {} }
        return MessageID(readingFrom: buffer.memory.baseAddress! + offset + MessageFrame.idOffset)
    }

    /// The fields of the message frame, valid as long as the buffer.
    var received: ReceivedMessage { ReceivedMessage(in: buffer, at: offset) }
}

/// The position of a received message: the serial numbers of the connection and the batch, and the
/// index in the batch.
struct MessagePlace: Sendable {
    let connection: Int
    let batch: Int
    let index: Int
}

extension ReceivedMessage {
    init(in buffer: ReceiveBuffer, at offset: Int) {
        let bytes = Bytes(buffer.memory)
        let size = Int(bytes.bigEndian(at: offset, as: Int32.self))
        let data = bytes.view(offset + Frame.headerBytes..<offset + 4 + size)
        // FrameReader has checked the length.
        self.init(data: data)!
    }
}
