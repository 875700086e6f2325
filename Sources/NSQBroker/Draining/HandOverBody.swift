import BrokerCore
import NSQWire
import TallyBasics

/// The body of `POST /handover`: the number of messages, and for each message its remaining
/// deferral in milliseconds, its size and its body. All numbers are big-endian and take four bytes.
struct HandOverBody {
    /// One message: the range of its body in the bytes, and its remaining deferral.
    struct Message: Equatable {
        var body: Range<Int>
        var delay: Duration
    }

    private static let numberBytes = 4

    static func bytes(of batch: HandOverBatch) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(
            numberBytes + batch.byteCount + 2 * numberBytes * batch.messages.count)
        bytes.append(bigEndian: Int32(batch.messages.count))
        for message in batch.messages {
            bytes.append(bigEndian: Int32(clamping: message.delay.millisecondsRoundedUp))
            bytes.append(bigEndian: Int32(message.body.count))
            bytes += message.body
        }
        return bytes
    }

    /// Parses a body.
    ///
    /// - Returns: `nil` if the body is malformed, or has no message.
    static func messages(in bytes: [UInt8], options: BrokerOptions) -> [Message]? {
        var offset = 0
        func next(_ allowed: ClosedRange<Int>) -> Int? {
            guard bytes.count - offset >= numberBytes else { return nil }
            let number = bytes.withUnsafeBytes { Int($0.bigEndian(at: offset, as: Int32.self)) }
            offset += numberBytes
            return allowed.contains(number) ? number : nil
        }
        guard let count = next(1...max(1, options.maxMessagesPerBody)) else { return nil }
        var messages: [Message] = []
        for _ in 0..<count {
            guard let delay = next(0...Int(Int32.max)),
                // The body in a failed set has a line of JSON before the message; see
                // ``FailedMessage``.
                let size = next(1...options.maxMessageBytes + FailedMessage.maxHeadBytes),
                bytes.count - offset >= size
            else { return nil }
            messages.append(Message(body: offset..<offset + size, delay: .milliseconds(delay)))
            offset += size
        }
        return offset == bytes.count ? messages : nil
    }
}
