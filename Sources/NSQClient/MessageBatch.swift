import NSQWire
import UVLoop

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
    /// Which nsqd they come from.
    package let nsqd: SocketAddress

    /// Calls `body` with every message, in order and where it lies: the quick way through a batch.
    /// What it gets is valid during the call.
    package func forEachReceived(_ body: (ReceivedMessage) -> Void) {
        for offset in offsets { body(ReceivedMessage(inBlock: block, at: Int(offset))) }
        withExtendedLifetime(block) {}
    }

    /// The IDs in order, read as they are asked for.
    var ids: IDs { IDs(block: block, offsets: offsets) }

    /// A type of its own and no lazy map, for which the compiler would look up metadata at run
    /// time for every batch, and call through witnesses for every message.
    struct IDs: RandomAccessCollection {
        fileprivate let block: ReadBlock
        fileprivate let offsets: [UInt32]

        var startIndex: Int { 0 }
        var endIndex: Int { offsets.count }

        subscript(index: Int) -> MessageID {
            let frame = block.memory.baseAddress! + Int(offsets[index])
            return MessageID(readingFrom: frame + MessageFrame.idOffset)
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
