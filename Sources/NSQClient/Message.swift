import NSQWire

/// A message in flight: delivered to us, and to be answered by a finish or a requeue.
///
/// A message keeps the memory of the read it came with alive. Copy out what is to stay longer.
public struct Message: Sendable {
    let block: ReadBlock
    let offset: Int
    let place: MessagePlace

    /// The ID nsqd gave it: 16 hex digits, the same at every delivery and in every channel.
    public var id: String { wireID.text }

    /// How often it has been delivered, this time included.
    public var attempts: Int { Int(received.attempts) }

    /// When it was published, in nanoseconds since 1970.
    public var timestampNanoseconds: Int64 { received.timestampNanoseconds }

    /// A copy of its body.
    public var body: [UInt8] { withBody { Array($0) } }

    /// Gives `read` the body where it lies, without a copy. The bytes are valid during the call.
    public func withBody<Result, Failure: Error>(
        _ read: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // The block must outlive the bytes: nothing but this message may be holding it.
        defer { withExtendedLifetime(block) {} }
        return try read(received.body)
    }

    var wireID: MessageID {
        defer { withExtendedLifetime(block) {} }
        return MessageID(readingFrom: block.memory.baseAddress! + offset + MessageFrame.idOffset)
    }

    /// The frame's parts. Valid as long as the block.
    var received: ReceivedMessage { ReceivedMessage(inBlock: block, at: offset) }
}

/// Where a message was delivered: which connection, which of its batches, which place in it.
struct MessagePlace: Sendable {
    let connection: Int
    let batch: Int
    let index: Int
}

extension ReceivedMessage {
    init(inBlock block: ReadBlock, at offset: Int) {
        let bytes = Bytes(block.memory)
        let size = Int(bytes.bigEndian(at: offset, as: Int32.self))
        let data = bytes.view(offset + Frame.headerBytes..<offset + 4 + size)
        // Looked at once when it was read: see Intake.
        self.init(data: data)!
    }
}
