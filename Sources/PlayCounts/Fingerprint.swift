import NSQWire

/// What a play is known again by: 128 bits of what names it.
///
/// Among a million plays remembered, one that is new is taken for an old one once in 10³²: nobody
/// will see it happen.
package struct Fingerprint: Hashable, Sendable, BitwiseCopyable {
    fileprivate let low: UInt64
    fileprivate let high: UInt64

    /// That of no play.
    static let none = Fingerprint(low: 0, high: 0)

    /// Some bits of it, as good as any others.
    var bits: Int { Int(truncatingIfNeeded: low) }
}

extension Fingerprint {
    /// Takes fingerprints, with a secret of the store's own: who can choose play ids must not be
    /// able to choose one that makes another's play look like a repetition.
    package struct Taker: Sendable {
        private let key: (UInt64, UInt64)

        package init(key: (UInt64, UInt64)) {
            self.key = key
        }

        /// Of an nsqd's topic, to be mixed into those of its messages: two nsqds number their
        /// messages each for itself, and two on one machine often alike.
        package func source(nsqd: String, topic: TopicName) -> Fingerprint {
            var text = Array("\(nsqd)\n\(topic.text)".utf8)
            return finish(hash(.source), with: &text)
        }

        /// Of a play, or of the message that it came with if it has no name of its own.
        ///
        /// A play's own id holds whichever way it comes, and however often it was published. It is
        /// taken together with the video: one and the same id for plays of two videos is a
        /// publisher's mistake that must not cost a play. A message keeps its id and its timestamp
        /// however often it is delivered; the timestamp tells two apart that a broker gave one id,
        /// as one may that lost its memory.
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
            // One bit less, and none is `none`.
            return Fingerprint(low: low, high: high | 1)
        }
    }

    /// Goes in first, so that no two kinds of names can be alike.
    fileprivate enum Kind: UInt64 {
        case source = 1
        case message, guid, text
    }
}

extension PlayID {
    fileprivate var kind: Fingerprint.Kind {
        switch self {
        case .guid: .guid
        case .text: .text
        }
    }
}
