import NSQWire
import TallyBasics

@testable import NSQLookup

/// Passes the input to the sessions of two nsqds at an nsqlookupd, and as its state file. The first byte
/// tells where the first session's bytes are split, and whether its client ends the input.
@Sendable func fuzzNSQLookupd(_ bytes: Bytes) {
    guard let first = bytes.first else { return }
    let input = Array(bytes.view(1..<bytes.count))
    let now = Timestamp(monotonic: 1 << 40, wall: 1 << 60)
    var limits = RegistrationTable.Limits()
    limits.maxEntries = 20

    func respond(inParts isSplit: Bool) -> (output: [UInt8], table: RegistrationTable) {
        var table = RegistrationTable(limits)
        var session = LookupSession(PeerID(1), address: "127.0.0.1:1")
        let middle = isSplit ? min(input.count, Int(first)) : input.count
        var output: [UInt8] = []
        for part in [input[..<middle], input[middle...]] {
            output += session.receive(part, &table, identity: .forFuzzing, at: now).bytes
        }
        if first & 1 == 1 { output += session.endInput().bytes }
        return (output, table)
    }

    let (output, table) = respond(inParts: false)
    precondition(respond(inParts: true).output == output, "the split of the input matters")
    precondition(table.entryCount <= limits.maxEntries, "the table exceeds its limit")
    // The state of the table must be the same after a restart.
    let state = LookupState(of: table, at: now)
    precondition((try? LookupState(parsing: state.json)) == state, "the state is not restored")

    guard let foreign = try? LookupState(parsing: input) else { return }
    var restored = RegistrationTable(limits)
    foreign.restore(&restored, at: now)
    _ = LookupState(of: restored, at: now).json
}

extension LookupIdentity {
    fileprivate static let forFuzzing = LookupIdentity(
        version: "1.3.0", tcpPort: 4160, httpPort: 4161, hostname: "host",
        broadcastAddress: "host")
}
