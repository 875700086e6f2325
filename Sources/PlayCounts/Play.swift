/// One play of one video: what a message stands for.
package struct Play: Hashable, Sendable {
    package let videoID: VideoID
    /// Names this one play, if its publisher wants a retry of it to count once.
    package let playID: PlayID?

    package init(of videoID: VideoID, playID: PlayID? = nil) {
        self.videoID = videoID
        self.playID = playID
    }
}

/// A publisher's own name for a play: any text. Nearly all are GUIDs in lower case, and those are
/// held in 16 bytes without an allocation.
package enum PlayID: Hashable, Sendable {
    case guid(GUID)
    /// UTF-8, and compared byte by byte: `String` would take two spellings of an é for one.
    case text([UInt8])

    package init(_ utf8: UnsafeRawBufferPointer) {
        if let guid = GUID(text: utf8), !utf8.contains(where: { 0x41...0x46 ~= $0 }) {
            self = .guid(guid)
        } else {
            self = .text(Array(utf8))
        }
    }
}

/// What a message may cost to read.
package struct PlayLimits: Sendable {
    /// Generous for a play with its fields; a broker takes a mebibyte by default.
    package var bodyBytes = 65_536
    /// Objects and arrays within one another. The reader recurses, so this bounds its stack.
    package var depth = 32

    package init() {}
}

/// Why a message is no play. It then goes to the rejected topic under this name.
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
        case .duplicateKeys: "an object in the message names a key twice"
        case .notAnObject: "the message is JSON, but not an object"
        case .noVideoID: "the object has no video_id"
        case .badVideoID: "video_id is not a GUID such as 1b4e28ba-2fa1-4d3b-a3f5-cf1b2c1e9a70"
        case .tooManyAttempts: "the message came more often than --max-attempts allows"
        }
    }
}
