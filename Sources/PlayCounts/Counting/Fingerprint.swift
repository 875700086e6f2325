import NSQWire

/// A 128-bit hash that identifies a play, by which duplicates are recognized.
///
/// With a million fingerprints in the window, the probability that a new play has the same
/// fingerprint as another one is 1 in 10³².
package struct Fingerprint: Hashable, Sendable, BitwiseCopyable {
    let low: UInt64
    let high: UInt64

    /// Marks empty slots of a table. No play has this fingerprint.
    static let none = Fingerprint(low: 0, high: 0)

    /// The low 64 bits of the hash, from which a table computes the slot.
    var bits: Int { Int(truncatingIfNeeded: low) }
}

/// Computes fingerprints with the secret key of the store. Without the key, an attacker cannot
/// choose play IDs with equal fingerprints.
package struct Fingerprinter: Sendable {
    private let key: (UInt64, UInt64)

    package init(key: (UInt64, UInt64)) {
        self.key = key
    }

    /// The fingerprint of a topic at one nsqd. Fingerprints of messages include it, because message
    /// IDs are unique only within one nsqd.
    package func source(nsqd: String, topic: TopicName) -> Fingerprint {
        var text = Array("\(nsqd)\n\(topic.text)".utf8)
        return finish(hash(.source), with: &text)
    }

    /// The fingerprint of a play's ID, or of its message if the play has no ID.
    ///
    /// A play ID identifies a play in all its publications. It is hashed together with the video
    /// ID, so that a play is not lost if its producer reuses the ID for another video. Without a
    /// play ID, the ID and the timestamp of the message are hashed, which are the same in all
    /// deliveries. The timestamp distinguishes messages with the same ID, which a broker may assign
    /// after it has lost its state.
    package func fingerprint(
        of play: Play, in message: ReceivedMessage, from source: Fingerprint
    ) -> Fingerprint {
        guard let playID = play.playID else { return fingerprint(of: message, from: source) }
        var hash = hash(playID.kind)
        hash.append(play.videoID.high)
        hash.append(play.videoID.low)
        switch playID {
        case .guid(let guid):
            hash.append(guid.high)
            hash.append(guid.low)
            return finish(hash)
        case .text(var text):
            return finish(hash, with: &text)
        }
    }

    private func fingerprint(
        of message: ReceivedMessage, from source: Fingerprint
    ) -> Fingerprint {
        var hash = hash(.message)
        hash.append(source.low)
        hash.append(source.high)
        hash.append(UInt64(bitPattern: message.timestampNanoseconds))
        return withUnsafeBytes(of: message.id) { finish(hash, with: $0) }
    }

    private func hash(_ kind: Kind) -> SipHash {
        var hash = SipHash(key: key)
        hash.append(kind.rawValue)
        return hash
    }

    private func finish(_ hash: SipHash, with text: inout [UInt8]) -> Fingerprint {
        text.withUnsafeBytes { finish(hash, with: $0) }
    }

    private func finish(
        _ hash: SipHash,
        with rest: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) -> Fingerprint {
        let (low, high) = hash.finish(with: rest)
        // The set bit makes the fingerprint different from `none`.
        return Fingerprint(low: low, high: high | 1)
    }

    /// The first word of the input of each hash. It differs by kind, so IDs of different kinds
    /// never have the same input.
    fileprivate enum Kind: UInt64 {
        case source = 1
        case message, guid, text
    }
}

extension PlayID {
    fileprivate var kind: Fingerprinter.Kind {
        switch self {
        case .guid: .guid
        case .text: .text
        }
    }
}
