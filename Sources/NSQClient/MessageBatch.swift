import NSQWire
import UVLoop

/// The messages that one socket read received from one nsqd.
///
/// Consumers receive batches because finishing a batch needs only one loop job and one write for
/// all messages. After single messages are finished or requeued, finishing the batch finishes the
/// other messages.
public struct MessageBatch: Sendable {
    let buffer: ReceiveBuffer
    let offsets: [UInt32]
    let connection: Int
    let serial: Int
    /// The address of the nsqd that has sent the messages.
    package let nsqd: SocketAddress

    /// Calls `body` with every message in order, without a copy. This method is faster than
    /// iterating over the batch.
    ///
    /// - Parameter body: receives a message, which is valid during the call only.
    package func forEachReceived(_ body: (ReceivedMessage) -> Void) {
        for offset in offsets { body(ReceivedMessage(in: buffer, at: Int(offset))) }
        withExtendedLifetime(buffer) {}
    }

    /// The message IDs in order, each decoded on access.
    var ids: IDs { IDs(buffer: buffer, offsets: offsets) }

    /// The collection of message IDs. It replaces a lazy map, for which compiled code looks up
    /// metadata for every batch and calls witness functions for every message.
    struct IDs: RandomAccessCollection {
        fileprivate let buffer: ReceiveBuffer
        fileprivate let offsets: [UInt32]

        var startIndex: Int { 0 }
        var endIndex: Int { offsets.count }

        subscript(index: Int) -> MessageID {
            let frame = buffer.memory.baseAddress! + Int(offsets[index])
            return MessageID(readingFrom: frame + MessageFrame.idOffset)
        }
    }
}

extension MessageBatch: RandomAccessCollection {
    /// The index of the first message, 0.
    public var startIndex: Int { 0 }
    /// The number of messages.
    public var endIndex: Int { offsets.count }

    /// The message at `index`.
    public subscript(index: Int) -> Message {
        Message(
            buffer: buffer, offset: Int(offsets[index]),
            place: MessagePlace(connection: connection, batch: serial, index: index))
    }
}
