import BrokerCore
@testable import HTTP
@testable import NSQBroker
import NSQWire
import TallyBasics
import Transport

/// Parses command lines one after another.
@Sendable func fuzzCommands(_ bytes: Bytes) {
    var offset = 0
    while case .line(let line) = CommandLine.next(in: bytes, at: &offset) {
        precondition(offset <= bytes.count, "a line ends within the input")
        _ = try? Command(parsing: line)
    }
}

/// Sends the input to a complete broker on one connection.
@Sendable func fuzzBroker(_ bytes: Bytes) {
    let broker = Broker(options: BrokerOptions(), at: .fuzzed)
    let session = broker.connect(from: "10.0.0.1:5000", host: "10.0.0.1", at: .fuzzed)
    var rest = Array(Command.magic.bytes) + Array(bytes)
    while !rest.isEmpty, !session.isEnded, rest.count >= session.neededBytes {
        let taken = rest.withUnsafeBytes { broker.receive($0, from: session, at: .fuzzed) }
        precondition(taken <= rest.count, "a command ends within the input")
        rest.removeFirst(taken)
        while !broker.endIteration(at: .fuzzed).isEmpty { session.outbox.drain { _ in } }
        guard taken > 0 else { break }
    }
    rest.withUnsafeBytes { broker.endInput($0, from: session, at: .fuzzed) }
    broker.disconnect(session, at: .fuzzed)
}

/// Parses the body of an IDENTIFY. A valid body must be parsed back from its written form.
@Sendable func fuzzIdentify(_ bytes: Bytes) {
    guard let identify = try? Identify(parsing: bytes) else { return }
    let again = identify.json.withUnsafeBytes { try? Identify(parsing: $0) }
    precondition(again == identify, "a written body is parsed to the same value")
}

/// Parses HTTP requests of one connection in two pieces.
@Sendable func fuzzHTTP(_ bytes: Bytes) {
    guard let cut = bytes.first else { return }
    let sink = HTTPSink()
    let parser = HTTPParser(.requests)
    parser.sink = sink
    let place = min(Int(cut), bytes.count)
    for piece in [bytes.view(1..<max(1, place)), bytes.view(max(1, place)..<bytes.count)] {
        guard let taken = try? parser.parse(piece) else { return }
        precondition(taken <= piece.count, "a request ends within the input")
    }
    try? parser.finish()
}

private final class HTTPSink: HTTPParserSink {
    func parserDidRead(_ head: HTTPHead) { _ = HTTPTarget(head.target) }
    func parserDidRead(body bytes: Bytes) {}
    func parserDidReadMessage() {}
}

/// Decodes a journal record's payload. The first byte selects the kind.
@Sendable func fuzzJournal(_ bytes: Bytes) {
    guard let first = bytes.first, let kind = RecordKind(rawValue: UInt16(first)) else { return }
    _ = DecodedRecord(kind, bytes.view(1..<bytes.count))
}

extension Timestamp {
    /// A fixed time, so that each input always has the same effect.
    fileprivate static let fuzzed = Timestamp(
        monotonic: 5_000_000_000_000, wall: 1_700_000_000_000_000_000)
}
