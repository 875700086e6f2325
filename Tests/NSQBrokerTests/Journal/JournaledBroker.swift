import BrokerCore
import NSQBroker
import NSQWire

/// A broker with a journal on a disk in memory, and clients that say all at once.
final class JournaledBroker {
    let disk: MemoryDisk
    let journal: Journal
    let core: Broker
    let report: JournalReport
    var now: Moment

    init(
        on disk: MemoryDisk = MemoryDisk(), _ options: Journal.Options = Journal.Options(),
        at now: Moment = .start
    ) throws {
        self.disk = disk
        self.now = now
        journal = Journal(on: disk, options)
        core = Broker(ledger: journal, at: now)
        report = try journal.recover(into: core, at: now)
        journal.onSync = { [unowned self] write, error in
            if let error {
                core.syncFailed(upTo: write, error, at: self.now)
            } else {
                core.synced(upTo: write, at: self.now)
            }
        }
    }

    /// A client that says this, as one turn.
    func client(_ text: String) -> Session {
        let session = core.connect(from: "10.0.0.1:5000", host: "10.0.0.1", at: now)
        say("  V2" + text, session)
        return session
    }

    func say(_ text: String, _ session: Session) {
        _ = Array(text.utf8).withUnsafeBytes { core.receive($0, from: session, at: now) }
        _ = core.endTurn(at: now)
    }

    /// The answers and bodies that it was sent since the last time.
    func heard(_ session: Session) -> [String] {
        _ = core.endTurn(at: now)
        var bytes: [UInt8] = []
        session.outbox.drain { bytes += $0 }
        var heard: [String] = []
        var decoder = FrameDecoder()
        try? decoder.feed(bytes) { frame in
            let body = frame.kind == .message ? ReceivedMessage(data: frame.data)!.body : frame.data
            heard.append(String(decoding: body, as: UTF8.self))
        }
        return heard
    }
}

extension Moment {
    static let start = Moment(monotonic: 5_000_000_000_000, wall: 1_700_000_000_000_000_000)
}

/// `PUB` of a body shorter than 128 bytes.
func pub(_ body: String, to topic: String = "plays") -> String {
    "PUB \(topic)\n\0\0\0" + String(UnicodeScalar(UInt8(body.utf8.count))) + body
}
