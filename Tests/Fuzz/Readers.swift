import BrokerCore
@testable import HTTP
@testable import NSQBroker
import NSQWire
import Transport

/// Command lines, one after another, as a connection's bytes have them.
@Sendable func fuzzCommands(_ bytes: Bytes) {
    var offset = 0
    while case .line(let line) = CommandLine.next(in: bytes, at: &offset) {
        precondition(offset <= bytes.count, "no line reaches beyond its bytes")
        _ = try? Command(parsing: line)
    }
}

/// A connection to a whole broker, with all that its bodies and states let it come to.
@Sendable func fuzzBroker(_ bytes: Bytes) {
    let broker = Broker(options: BrokerOptions(), at: .fuzzed)
    let session = broker.connect(from: "10.0.0.1:5000", host: "10.0.0.1", at: .fuzzed)
    var rest = Array("  V2".utf8) + Array(bytes)
    while !rest.isEmpty, !session.isEnded, rest.count >= session.neededBytes {
        let taken = rest.withUnsafeBytes { broker.receive($0, from: session, at: .fuzzed) }
        precondition(taken <= rest.count, "no command reaches beyond its bytes")
        rest.removeFirst(taken)
        while !broker.endTurn(at: .fuzzed).isEmpty { session.outbox.drain { _ in } }
        guard taken > 0 else { break }
    }
    rest.withUnsafeBytes { broker.endInput($0, from: session, at: .fuzzed) }
    broker.disconnect(session, at: .fuzzed)
}

/// The body of an IDENTIFY; what is understood is understood again when it is written.
@Sendable func fuzzIdentify(_ bytes: Bytes) {
    guard let identify = try? Identify(parsing: bytes) else { return }
    let again = identify.json.withUnsafeBytes { try? Identify(parsing: $0) }
    precondition(again == identify, "what was written reads otherwise")
}

/// Requests of one connection, in two pieces, the second of which comes when the first was read.
@Sendable func fuzzHTTP(_ bytes: Bytes) {
    guard let cut = bytes.first else { return }
    let sink = HTTPSink()
    let parser = HTTPParser(.requests)
    parser.sink = sink
    let place = min(Int(cut), bytes.count)
    for piece in [bytes.view(1..<max(1, place)), bytes.view(max(1, place)..<bytes.count)] {
        guard let taken = try? parser.parse(piece) else { return }
        precondition(taken <= piece.count, "no request reaches beyond its bytes")
    }
    try? parser.finish()
}

private final class HTTPSink: HTTPParserSink {
    func parserDidRead(_ head: HTTPHead) { _ = HTTPTarget(head.target) }
    func parserDidRead(body bytes: Bytes) {}
    func parserDidReadMessage() {}
}

/// A record's payload; the first byte says of which kind.
@Sendable func fuzzJournal(_ bytes: Bytes) {
    guard let first = bytes.first, let kind = RecordKind(rawValue: UInt16(first)) else { return }
    _ = JournalRecord(kind, bytes.view(1..<bytes.count))
}

extension Moment {
    /// Time stands still: what an input does, it does each time.
    fileprivate static let fuzzed = Moment(
        monotonic: 5_000_000_000_000, wall: 1_700_000_000_000_000_000)
}
