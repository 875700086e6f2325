/// One play of one video. A message contains one play.
package struct Play: Hashable, Sendable {
    package let videoID: VideoID
    /// Identifies the play, so that it is counted once even if its producer publishes it twice.
    package let playID: PlayID?

    package init(of videoID: VideoID, playID: PlayID? = nil) {
        self.videoID = videoID
        self.playID = playID
    }
}

/// A producer's identifier of a play: any text that is not empty. Nearly all identifiers are GUIDs
/// in lower case, which are stored as 16 bytes without an allocation.
package enum PlayID: Hashable, Sendable {
    case guid(GUID)
    /// An identifier of any other form, in UTF-8, with each unpaired surrogate encoded in three
    /// bytes. Identifiers are compared by bytes, because `String` treats different encodings of “é”
    /// as equal.
    case text([UInt8])

    /// Creates an identifier from UTF-8.
    package init(_ utf8: UnsafeRawBufferPointer) {
        if let guid = GUID(text: utf8), !utf8.contains(where: { 0x41...0x46 ~= $0 }) {
            self = .guid(guid)
        } else {
            self = .text(Array(utf8))
        }
    }
}

/// The limits of a message that the parser accepts.
package struct PlayParsingLimits: Sendable {
    /// The maximum length of a body in bytes. nsqd accepts 1 MiB by default.
    package var bodyBytes = 65_536
    /// The maximum nesting of objects and arrays, which bounds the stack of the recursive parser.
    package var depth = 32

    package init() {}
}

/// The reason why a message is not a play. The raw value is written to the topic of rejected
/// messages.
package enum Rejection: String, Error, CaseIterable, Sendable {
    case tooLarge = "too_large"
    case invalidUTF8 = "invalid_utf8"
    case notJSON = "not_json"
    case tooDeep = "too_deep"
    case duplicateKeys = "duplicate_keys"
    case notAnObject = "not_an_object"
    case noVideoID = "no_video_id"
    case badVideoID = "bad_video_id"
    case tooManyAttempts = "too_many_attempts"
}

extension Rejection: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLarge: "the message is larger than the limit"
        case .invalidUTF8: "the message is not valid Unicode in UTF-8"
        case .notJSON: "the message is not JSON"
        case .tooDeep: "the message nests objects or arrays too deeply"
        case .duplicateKeys: "an object in the message has a duplicate key"
        case .notAnObject: "the message is JSON, but not an object"
        case .noVideoID: "the object has no video_id"
        case .badVideoID: "video_id is not a GUID, for example 1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"
        case .tooManyAttempts: "the message has more delivery attempts than --max-attempts"
        }
    }
}
