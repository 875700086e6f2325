import NSQWire

/// The messages of one read from one nsqd, their bodies lying in the one buffer they were read to.
///
/// Answering a batch is one job and one write for all of its messages, which is why consumers get
/// batches. Single messages of it may be answered on their own before; answering the batch then
/// answers the rest.
public struct MessageBatch: Sendable {
    let block: ReadBlock
    let offsets: [UInt32]
    let connection: Int
    let serial: Int

    /// Calls `body` with every message, in order and where it lies: the quick way through a batch.
    /// What it gets is valid during the call.
    package func forEachReceived(_ body: (ReceivedMessage) -> Void) {
        for offset in offsets { body(ReceivedMessage(inBlock: block, at: Int(offset))) }
        withExtendedLifetime(block) {}
    }

    /// The IDs in order, made as they are asked for.
    var ids: some Collection<MessageID> {
        offsets.lazy.map { [block] offset in
            MessageID(
                readingFrom: block.memory.baseAddress! + Int(offset) + MessageFrame.idOffset)
        }
    }
}

extension MessageBatch: RandomAccessCollection {
    public var startIndex: Int { 0 }
    public var endIndex: Int { offsets.count }

    public subscript(index: Int) -> Message {
        Message(
            block: block, offset: Int(offsets[index]),
            place: MessagePlace(connection: connection, batch: serial, index: index))
    }
}
