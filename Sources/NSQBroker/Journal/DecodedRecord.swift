import BrokerCore
import NSQWire

/// The decoded payload of a journal record.
enum DecodedRecord {
    case topics([TopicSnapshot])
    case change(LogRecord)
    /// Consecutive messages: their description, and their frames.
    case messages(RecoveredMessages, Bytes)

    init?(_ kind: RecordKind, _ payload: Bytes) {
        var reader = RecordPayloadDecoder(payload)
        guard let record = reader.record(kind) else { return nil }
        self = record
    }
}
